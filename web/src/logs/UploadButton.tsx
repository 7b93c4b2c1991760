import { useRef } from "react";
import { Button } from "../ui/Button";
import { UploadIcon } from "../ui/icons";
import { useUploads } from "./uploads";

export function UploadButton() {
  const input = useRef<HTMLInputElement>(null);
  const start = useUploads((uploads) => uploads.start);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label="Log files to upload"
        onChange={(event) => {
          for (const file of event.target.files ?? []) void start(file);
          // The same file may be chosen again.
          event.target.value = "";
        }}
      />
      <Button onClick={() => input.current?.click()}>
        <UploadIcon />
        Upload
      </Button>
    </>
  );
}
