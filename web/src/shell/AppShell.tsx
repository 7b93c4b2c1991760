// What surrounds every screen after sign-in: the sidebar, on phones a drawer; and the live socket.
import { Dialog } from "@base-ui/react/dialog";
import { useSuspenseQuery } from "@tanstack/react-query";
import { Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { meQuery } from "../api/queries";
import { forgetDrafts } from "../chat/drafts";
import { live, startLive } from "../live/live";
import { IconButton } from "../ui/Button";
import { Boundary } from "../ui/Failure";
import { useMediaQuery } from "../ui/hooks";
import { Mark, MenuIcon } from "../ui/icons";
import { ConnectionBanner } from "./ConnectionBanner";
import { Sidebar } from "./Sidebar";

/** Whose conversations are in memory. */
let lastUser: string | null = null;

export function AppShell() {
  const { data: me } = useSuspenseQuery(meQuery);
  const wide = useMediaQuery("(min-width: 48rem)");
  const path = useRouterState({ select: (state) => state.location.pathname });
  const userId = me.user.id;
  useEffect(() => {
    if (lastUser && lastUser !== userId) {
      live.clear();
      forgetDrafts();
    }
    lastUser = userId;
    startLive();
  }, [userId]);
  return (
    <div className="flex h-dvh flex-col md:flex-row">
      <a
        href="#content"
        className="absolute -top-20 left-2 z-10 rounded-md bg-accent px-3 py-2 text-accent-ink focus:top-2"
      >
        Skip to content
      </a>
      {wide ? (
        <div className="w-64 shrink-0 border-r border-line lg:w-72">
          <Boundary title="The sidebar could not be shown">
            <Sidebar me={me} />
          </Boundary>
        </div>
      ) : (
        <PhoneBar key={path}>
          <Sidebar me={me} />
        </PhoneBar>
      )}
      <div id="content" tabIndex={-1} className="flex min-h-0 min-w-0 flex-1 flex-col outline-none">
        <ConnectionBanner />
        <Boundary title="This screen could not be shown" resetKey={path}>
          <Outlet />
        </Boundary>
      </div>
    </div>
  );
}

function PhoneBar({ children }: { children: React.ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-panel px-2">
      <Dialog.Root open={open} onOpenChange={setOpen}>
        <Dialog.Trigger render={<IconButton label="Open menu" className="size-10" />}>
          <MenuIcon className="size-5" />
        </Dialog.Trigger>
        <Dialog.Portal>
          <Dialog.Backdrop className="fixed inset-0 bg-black/50" />
          <Dialog.Popup className="fixed inset-y-0 left-0 w-[min(20rem,86vw)] border-r border-line shadow-xl outline-none">
            <Dialog.Title className="sr-only">Menu</Dialog.Title>
            <Boundary title="The sidebar could not be shown">{children}</Boundary>
          </Dialog.Popup>
        </Dialog.Portal>
      </Dialog.Root>
      <Mark className="size-5" />
      <span className="font-semibold">Callboard</span>
    </header>
  );
}
