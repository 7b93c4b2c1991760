// Navigation, the conversations, and the account.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useRouter } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError } from "../api/error";
import { signOut } from "../api/queries";
import type { Me } from "../api/types";
import { forgetDrafts } from "../chat/drafts";
import { live, stopLive } from "../live/live";
import { useUploads } from "../logs/uploads";
import { buttonClass, IconButton } from "../ui/Button";
import { Boundary, InlineFailure } from "../ui/Failure";
import { useDebounced } from "../ui/hooks";
import { LinesIcon, Mark, OutIcon, PlusIcon, SearchIcon } from "../ui/icons";
import { ConversationList } from "./ConversationList";
import { ConversationSearch } from "./ConversationSearch";

const SEARCH_DELAY_MS = 250;

export function Sidebar({ me }: { me: Me }) {
  const [text, setText] = useState("");
  const search = useDebounced(text.trim(), SEARCH_DELAY_MS);
  return (
    <nav aria-label="Main" className="flex h-full min-h-0 flex-col bg-panel">
      <div className="flex h-12 shrink-0 items-center gap-2 px-4">
        <Mark />
        <span className="font-semibold tracking-tight">Callboard</span>
      </div>
      <div className="flex flex-col gap-1 px-2">
        <Link to="/" className={buttonClass("plain", "justify-start")}>
          <PlusIcon />
          New chat
        </Link>
        <Link
          to="/logs"
          search={{}}
          activeOptions={{ includeSearch: false }}
          activeProps={{ className: "bg-hover !text-ink" }}
          className={buttonClass("quiet", "justify-start")}
        >
          <LinesIcon />
          Log search
        </Link>
      </div>
      <div className="relative mx-2 mt-3 mb-1">
        <SearchIcon className="pointer-events-none absolute top-2 left-2.5 size-4 text-soft" />
        <input
          type="search"
          aria-label="Search conversations"
          placeholder="Search conversations"
          className="field border-line pl-8"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-2">
        <Boundary title="The conversations could not be shown" resetKey={search}>
          {search ? <ConversationSearch text={search} /> : <ConversationList />}
        </Boundary>
      </div>
      <Account me={me} />
    </nav>
  );
}

function Account({ me }: { me: Me }) {
  const client = useQueryClient();
  const router = useRouter();
  const leaving = useMutation({
    mutationFn: async () => {
      try {
        await signOut();
      } catch (error) {
        // Signed out already is signed out.
        if (!(error instanceof ApiError && error.status === 401)) throw error;
      }
    },
    onSuccess: async () => {
      stopLive();
      live.clear();
      forgetDrafts();
      useUploads.getState().clear();
      // First away from the screens that would read again, then forget all that was read.
      await router.navigate({ to: "/sign-in", search: {} });
      client.clear();
    },
  });
  return (
    <div className="border-t border-line">
      {leaving.isError && <InlineFailure error={leaving.error} />}
      <div className="flex items-center gap-2.5 px-3 py-2.5">
        <div
          aria-hidden="true"
          className="grid size-8 shrink-0 place-items-center rounded-full bg-accent-soft font-semibold text-accent"
        >
          {[...me.user.display_name][0]?.toUpperCase() ?? "?"}
        </div>
        <div className="min-w-0 flex-1 leading-tight">
          <p className="truncate font-medium">{me.user.display_name}</p>
          <p className="truncate text-xs text-soft">
            {me.user.username} · {me.user.role}
          </p>
        </div>
        <IconButton label="Sign out" disabled={leaving.isPending} onClick={() => leaving.mutate()}>
          <OutIcon />
        </IconButton>
      </div>
    </div>
  );
}
