// The uploads of this page, each with its progress until it is indexed or has failed.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { errorCode, errorMessage } from "../api/error";
import { jobIsFinal, jobQuery } from "../api/queries";
import type { IngestProgress, Job } from "../api/types";
import { Button, IconButton } from "../ui/Button";
import { bytes, count, plural } from "../ui/format";
import { AlertIcon, CheckIcon, CloseIcon } from "../ui/icons";
import { type Upload, useUploads } from "./uploads";

export function UploadList() {
  const items = useUploads((uploads) => uploads.items);
  if (items.length === 0) return null;
  return (
    <ul aria-label="Uploads" className="mx-4 mt-3 flex flex-col gap-1.5">
      {items.map((upload) => (
        <UploadRow key={upload.key} upload={upload} />
      ))}
    </ul>
  );
}

function UploadRow({ upload }: { upload: Upload }) {
  const { dismiss, retry } = useUploads();
  const close = (): void => dismiss(upload.key);
  switch (upload.state) {
    case "sending":
      return (
        <Card name={upload.name} status={`Sending ${bytes(upload.size)}`}>
          <Bar />
        </Card>
      );
    case "failed":
      return (
        <Card
          name={upload.name}
          tone="bad"
          status={`${errorMessage(upload.error)} (${errorCode(upload.error)})`}
          onClose={close}
        >
          <Button onClick={() => retry(upload.key)}>Try again</Button>
        </Card>
      );
    case "accepted":
      return <JobRow upload={upload} onClose={close} />;
  }
}

interface JobRowProps {
  upload: Extract<Upload, { state: "accepted" }>;
  onClose: () => void;
}

function JobRow({ upload, onClose }: JobRowProps) {
  const job = useQuery(jobQuery(upload.jobId));
  const client = useQueryClient();
  const state = job.data?.state;
  useEffect(() => {
    if (state === "succeeded") void client.invalidateQueries({ queryKey: ["logs"] });
  }, [state, client]);
  if (!job.data) {
    return job.isError ? (
      <Card
        name={upload.name}
        tone="bad"
        status={`Its progress cannot be read: ${errorMessage(job.error)} (${errorCode(job.error)})`}
        onClose={onClose}
      >
        <Button onClick={() => void job.refetch()}>Try again</Button>
      </Card>
    ) : (
      <Card name={upload.name} status="Waiting">
        <Bar />
      </Card>
    );
  }
  if (!jobIsFinal(job.data)) {
    const { bytes_done, bytes_total, lines } = job.data.progress;
    const part = bytes_total > 0 ? Math.min(1, bytes_done / bytes_total) : undefined;
    return (
      <Card
        name={upload.name}
        status={
          job.data.state === "queued" ? "Waiting" : `Indexing, ${plural(lines, "line")} so far`
        }
      >
        <Bar part={part} />
      </Card>
    );
  }
  return <Ended name={upload.name} job={job.data} onClose={onClose} />;
}

/** What was not indexed as it stood. */
function remarks(progress: IngestProgress): string[] {
  return [
    progress.truncated > 0 ? `${count(progress.truncated)} cut` : "",
    progress.invalid_utf8 > 0 ? `${count(progress.invalid_utf8)} with invalid UTF-8` : "",
    progress.skipped_files > 0
      ? `${plural(progress.skipped_files, "file")} skipped as not text`
      : "",
  ].filter(Boolean);
}

function Ended({ name, job, onClose }: { name: string; job: Job; onClose: () => void }) {
  if (job.state === "succeeded") {
    const facts = [
      `Indexed ${plural(job.progress.lines, "line")}`,
      job.progress.format ?? "",
      ...remarks(job.progress),
    ];
    return (
      <Card name={name} tone="good" status={facts.filter(Boolean).join(" · ")} onClose={onClose} />
    );
  }
  const why = job.error ? `${job.error.message} (${job.error.code})` : "No reason was given.";
  return (
    <Card
      name={name}
      tone="bad"
      status={job.state === "cancelled" ? "Cancelled" : why}
      onClose={onClose}
    />
  );
}

interface CardProps {
  name: string;
  status: string;
  tone?: "plain" | "good" | "bad";
  onClose?: () => void;
  children?: ReactNode;
}

const TONES = { plain: "text-soft", good: "text-soft", bad: "text-bad" };

function Card({ name, status, tone = "plain", onClose, children }: CardProps) {
  return (
    <li className="flex min-h-10 items-center gap-3 rounded-md border border-line bg-panel px-3 py-1">
      {tone === "good" && <CheckIcon className="size-4 text-good" />}
      {tone === "bad" && <AlertIcon className="size-4 text-bad" />}
      <div className="min-w-0 flex-1 sm:flex sm:items-baseline sm:gap-3">
        <p className="truncate font-medium">{name}</p>
        <p role="status" className={`text-xs [overflow-wrap:anywhere] ${TONES[tone]}`}>
          {status}
        </p>
      </div>
      {children}
      {onClose && (
        <IconButton label={`Dismiss ${name}`} className="size-7" onClick={onClose}>
          <CloseIcon />
        </IconButton>
      )}
    </li>
  );
}

function Bar({ part }: { part?: number | undefined }) {
  return (
    <progress
      aria-label="Progress"
      className="h-1.5 w-24 shrink-0 appearance-none overflow-hidden rounded-full bg-hover [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-hover [&::-webkit-progress-value]:bg-accent"
      {...(part === undefined ? {} : { value: part })}
    />
  );
}
