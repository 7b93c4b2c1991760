import type { ComponentProps } from "react";

const LOOKS = {
  primary: "bg-accent text-accent-ink border-transparent hover:brightness-110",
  plain: "bg-raised text-ink border-line hover:bg-hover",
  quiet: "bg-transparent text-soft border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-bad text-canvas border-transparent hover:brightness-110",
} as const;

export type Look = keyof typeof LOOKS;

/** For what looks like a button and is not one, such as a link or a menu trigger. */
export function buttonClass(look: Look = "plain", extra = ""): string {
  return `inline-flex min-h-8 items-center justify-center gap-1.5 rounded-md border px-2.5 text-sm font-medium whitespace-nowrap transition-colors disabled:pointer-events-none disabled:opacity-50 ${LOOKS[look]} ${extra}`;
}

interface ButtonProps extends ComponentProps<"button"> {
  look?: Look;
}

export function Button({ look = "plain", className = "", type = "button", ...rest }: ButtonProps) {
  return <button type={type} className={buttonClass(look, className)} {...rest} />;
}

interface IconButtonProps extends ComponentProps<"button"> {
  label: string;
}

export function IconButton({ label, className = "", type = "button", ...rest }: IconButtonProps) {
  return (
    <button
      type={type}
      aria-label={label}
      title={label}
      className={`inline-flex size-8 shrink-0 items-center justify-center rounded-md text-soft transition-colors hover:bg-hover hover:text-ink disabled:pointer-events-none disabled:opacity-50 ${className}`}
      {...rest}
    />
  );
}
