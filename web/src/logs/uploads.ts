// Uploads of this page: they go on while another screen is shown.
import { create } from "zustand";
import { uploadLog } from "../api/queries";
import type { JobId } from "../api/types";

export type Upload = { key: number; name: string; size: number } & (
  | { state: "sending" }
  | { state: "failed"; error: unknown; file: File }
  | { state: "accepted"; jobId: JobId }
);

interface Uploads {
  items: Upload[];
  start: (file: File) => Promise<void>;
  retry: (key: number) => void;
  dismiss: (key: number) => void;
  clear: () => void;
}

let nextKey = 1;

export const useUploads = create<Uploads>((set, get) => ({
  items: [],
  start: async (file) => {
    const base = { key: nextKey++, name: file.name, size: file.size };
    const put = (upload: Upload): void =>
      set(({ items }) => ({ items: items.map((i) => (i.key === upload.key ? upload : i)) }));
    set(({ items }) => ({ items: [{ ...base, state: "sending" }, ...items] }));
    try {
      put({ ...base, state: "accepted", jobId: (await uploadLog(file)).id });
    } catch (error) {
      put({ ...base, state: "failed", error, file });
    }
  },
  retry: (key) => {
    const upload = get().items.find((item) => item.key === key);
    if (upload?.state !== "failed") return;
    get().dismiss(key);
    void get().start(upload.file);
  },
  dismiss: (key) => set(({ items }) => ({ items: items.filter((item) => item.key !== key) })),
  clear: () => set({ items: [] }),
}));
