// The conversations, the latest first, each with its menu: rename, delete.
import { Menu } from "@base-ui/react/menu";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useMatchRoute, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import {
  conversationsQuery,
  deleteConversation,
  refreshConversations,
  renameConversation,
} from "../api/queries";
import type { Conversation } from "../api/types";
import { live } from "../live/live";
import { applyEvents } from "../live/store";
import { Button, IconButton } from "../ui/Button";
import { Failure, InlineFailure } from "../ui/Failure";
import { when } from "../ui/format";
import { MoreIcon, PencilIcon, TrashIcon } from "../ui/icons";
import { DeleteDialog } from "./DeleteDialog";
import { ListSkeleton } from "./ListSkeleton";

export function ConversationList() {
  const list = useInfiniteQuery(conversationsQuery);
  const [deleting, setDeleting] = useState<Conversation | null>(null);
  if (list.isPending) return <ListSkeleton label="Loading conversations" />;
  if (list.isError && !list.data) {
    return (
      <Failure
        title="The conversations could not be read"
        error={list.error}
        onRetry={() => void list.refetch()}
      />
    );
  }
  const items = list.data.pages.flatMap((page) => page.items);
  if (items.length === 0) {
    return <p className="px-2 py-4 text-soft">Your conversations will stand here.</p>;
  }
  const now = new Date();
  return (
    <>
      <ul aria-label="Conversations" className="flex flex-col gap-px">
        {items.map((item) => (
          <Row key={item.id} item={item} now={now} onDelete={() => setDeleting(item)} />
        ))}
      </ul>
      {list.isFetchNextPageError && <InlineFailure error={list.error} />}
      {list.hasNextPage && (
        <Button
          look="quiet"
          className="mt-1 w-full"
          disabled={list.isFetchingNextPage}
          onClick={() => void list.fetchNextPage()}
        >
          {list.isFetchingNextPage ? "Loading…" : "Show more"}
        </Button>
      )}
      {deleting && <Deletion conversation={deleting} onDone={() => setDeleting(null)} />}
    </>
  );
}

interface RowProps {
  item: Conversation;
  now: Date;
  onDelete: () => void;
}

const itemClass =
  "flex min-h-8 cursor-default items-center gap-2 rounded px-2.5 text-sm outline-none select-none data-highlighted:bg-hover";

function Row({ item, now, onDelete }: RowProps) {
  const [renaming, setRenaming] = useState(false);
  if (renaming) return <Rename item={item} onDone={() => setRenaming(false)} />;
  return (
    <li className="group relative">
      <Link
        to="/c/$conversationId"
        params={{ conversationId: item.id }}
        activeProps={{ className: "bg-hover font-medium" }}
        className="flex min-h-8 items-center gap-2 rounded-md py-1 pr-9 pl-2 hover:bg-hover"
        title={item.title}
      >
        <span className="min-w-0 flex-1 truncate">{item.title}</span>
        <span className="text-2xs text-soft tabular-nums group-focus-within:invisible group-hover:invisible">
          {when(item.updated_at, now)}
        </span>
      </Link>
      <Menu.Root>
        <Menu.Trigger
          render={
            <IconButton
              label={`Actions for ${item.title}`}
              className="absolute top-0.5 right-1 size-7"
            />
          }
        >
          <MoreIcon />
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner align="end" sideOffset={4} className="z-20 outline-none">
            <Menu.Popup className="min-w-36 rounded-lg border border-line bg-raised p-1 shadow-lg outline-none">
              <Menu.Item className={itemClass} onClick={() => setRenaming(true)}>
                <PencilIcon /> Rename
              </Menu.Item>
              <Menu.Item className={`${itemClass} text-bad`} onClick={onDelete}>
                <TrashIcon /> Delete…
              </Menu.Item>
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
    </li>
  );
}

const MAX_TITLE = 200;

function Rename({ item, onDone }: { item: Conversation; onDone: () => void }) {
  const client = useQueryClient();
  const [title, setTitle] = useState(item.title);
  const renaming = useMutation({
    mutationFn: (text: string) => renameConversation(item.id, text),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: conversationsQuery.queryKey });
      onDone();
    },
  });
  const save = (): void => {
    const text = title.trim();
    if (!text || text === item.title) onDone();
    else if (!renaming.isPending) renaming.mutate(text);
  };
  return (
    <li>
      <input
        aria-label="New title"
        className="field py-1"
        value={title}
        maxLength={MAX_TITLE}
        ref={(input) => input?.focus()}
        onChange={(event) => setTitle(event.target.value)}
        onFocus={(event) => event.target.select()}
        onBlur={save}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.nativeEvent.isComposing) save();
          if (event.key === "Escape") {
            event.preventDefault();
            onDone();
          }
        }}
      />
      {renaming.isError && <InlineFailure error={renaming.error} />}
    </li>
  );
}

function Deletion({ conversation, onDone }: { conversation: Conversation; onDone: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const matches = useMatchRoute();
  const deleting = useMutation({
    mutationFn: () => deleteConversation(conversation.id),
    onSuccess: async () => {
      if (matches({ to: "/c/$conversationId", params: { conversationId: conversation.id } })) {
        live.open(null);
        await navigate({ to: "/" });
      }
      applyEvents([{ kind: "forgotten", conversationId: conversation.id }]);
      refreshConversations(client);
      onDone();
    },
  });
  return (
    <DeleteDialog
      title={conversation.title}
      busy={deleting.isPending}
      error={deleting.error}
      onConfirm={() => deleting.mutate()}
      onCancel={onDone}
    />
  );
}
