// The frame of the screens before sign-in, and their fields.
import { type ComponentProps, type ReactNode, useId } from "react";
import { Mark } from "../ui/icons";

export const LEAST_PASSWORD = 12;

/** What is wrong with a new password, as far as the page can tell. */
export function problemsOfPassword(fields: { password: string; again: string }): {
  password?: string;
  again?: string;
} {
  if ([...fields.password].length < LEAST_PASSWORD) {
    return { password: `At least ${LEAST_PASSWORD} characters.` };
  }
  return fields.password === fields.again ? {} : { again: "The two passwords differ." };
}

export function AuthCard({
  title,
  lead,
  children,
}: {
  title: string;
  lead: ReactNode;
  children: ReactNode;
}) {
  return (
    <main className="flex min-h-full flex-col items-center justify-center bg-panel px-4 py-10">
      <div className="w-full max-w-sm">
        <div className="mb-5 flex items-center gap-2.5">
          <Mark className="size-8" />
          <span className="text-lg font-semibold tracking-tight">Callboard</span>
        </div>
        <div className="rounded-xl border border-line bg-canvas p-6 shadow-sm">
          <h1 className="text-lg font-semibold">{title}</h1>
          <p className="mt-1 mb-5 text-soft">{lead}</p>
          {children}
        </div>
      </div>
    </main>
  );
}

interface TextFieldProps extends ComponentProps<"input"> {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
}

export function TextField({ label, hint, error, ...input }: TextFieldProps) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      <input
        id={id}
        className={`field ${error ? "border-bad" : ""}`}
        aria-invalid={error ? true : undefined}
        aria-describedby={note ? `${id}-note` : undefined}
        {...input}
      />
      {note && (
        <p id={`${id}-note`} className={`text-xs ${error ? "text-bad" : "text-soft"}`}>
          {note}
        </p>
      )}
    </div>
  );
}
