// A panel beside the content on wide screens, a bottom sheet on narrow ones. Esc closes it, and the
// focus goes back to where it came from.
import { Dialog } from "@base-ui/react/dialog";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { IconButton } from "./Button";
import { useWide } from "./hooks";
import { CloseIcon } from "./icons";

interface SidePanelProps {
  title: string;
  /** What opened it; the focus returns there. */
  opener: HTMLElement | null;
  onClose: () => void;
  children: ReactNode;
}

export function SidePanel(props: SidePanelProps) {
  return useWide() ? <Aside {...props} /> : <Sheet {...props} />;
}

function Aside({ title, opener, onClose, children }: SidePanelProps) {
  const heading = useId();
  const close = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    close.current?.focus();
    return () => opener?.focus();
  }, [opener]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && !event.defaultPrevented) onClose();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [onClose]);
  return (
    <aside
      aria-labelledby={heading}
      className="flex w-[min(34rem,44vw)] shrink-0 flex-col border-l border-line bg-panel"
    >
      <div className="flex h-12 shrink-0 items-center justify-between gap-2 border-b border-line pr-2 pl-4">
        <h2 id={heading} className="truncate font-semibold">
          {title}
        </h2>
        <IconButton ref={close} label="Close panel" onClick={onClose}>
          <CloseIcon />
        </IconButton>
      </div>
      {children}
    </aside>
  );
}

function Sheet({ title, opener, onClose, children }: SidePanelProps) {
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 bg-black/50" />
        <Dialog.Popup
          finalFocus={() => opener ?? true}
          className="fixed inset-x-0 bottom-0 flex h-[78dvh] flex-col rounded-t-xl border-t border-line bg-panel shadow-xl outline-none"
        >
          <div className="flex h-12 shrink-0 items-center justify-between gap-2 border-b border-line pr-2 pl-4">
            <Dialog.Title className="truncate font-semibold">{title}</Dialog.Title>
            <Dialog.Close render={<IconButton label="Close panel" />}>
              <CloseIcon />
            </Dialog.Close>
          </div>
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
