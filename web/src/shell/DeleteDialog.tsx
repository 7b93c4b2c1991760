import { AlertDialog } from "@base-ui/react/alert-dialog";
import { Button } from "../ui/Button";
import { InlineFailure } from "../ui/Failure";

interface DeleteDialogProps {
  title: string;
  busy: boolean;
  error: unknown;
  onConfirm: () => void;
  onCancel: () => void;
}

export function DeleteDialog({ title, busy, error, onConfirm, onCancel }: DeleteDialogProps) {
  return (
    <AlertDialog.Root open onOpenChange={(open) => !open && onCancel()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="fixed inset-0 bg-black/50" />
        <AlertDialog.Popup className="fixed top-1/2 left-1/2 flex w-[min(26rem,calc(100vw-2rem))] -translate-x-1/2 -translate-y-1/2 flex-col gap-3 rounded-xl border border-line bg-raised p-5 shadow-xl outline-none">
          <AlertDialog.Title className="text-base font-semibold">
            Delete this conversation?
          </AlertDialog.Title>
          <AlertDialog.Description className="text-soft">
            “{title}” and all its messages are removed for good.
          </AlertDialog.Description>
          {error !== null && error !== undefined && <InlineFailure error={error} />}
          <div className="mt-1 flex justify-end gap-2">
            <AlertDialog.Close render={<Button />}>Keep it</AlertDialog.Close>
            <Button look="danger" disabled={busy} onClick={onConfirm}>
              {busy ? "Deleting…" : "Delete"}
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
