// The few icons of the page, drawn on a 16-unit grid in the colour of the text.
import type { ReactNode } from "react";

function icon(shape: ReactNode) {
  return function Icon({ className = "size-4" }: { className?: string }) {
    return (
      <svg
        viewBox="0 0 16 16"
        className={`${className} shrink-0`}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {shape}
      </svg>
    );
  };
}

export const PlusIcon = icon(<path d="M8 3v10M3 8h10" />);
export const CloseIcon = icon(<path d="m4 4 8 8M12 4l-8 8" />);
export const MenuIcon = icon(<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" />);
export const SearchIcon = icon(
  <>
    <circle cx="7" cy="7" r="4.25" />
    <path d="m10.2 10.2 3.3 3.3" />
  </>,
);
export const MoreIcon = icon(
  <>
    <circle cx="3.5" cy="8" r=".6" fill="currentColor" />
    <circle cx="8" cy="8" r=".6" fill="currentColor" />
    <circle cx="12.5" cy="8" r=".6" fill="currentColor" />
  </>,
);
export const SendIcon = icon(<path d="M8 13V3M3.8 7.2 8 3l4.2 4.2" />);
export const StopIcon = icon(
  <rect x="4" y="4" width="8" height="8" rx="1.2" fill="currentColor" stroke="none" />,
);
export const DownIcon = icon(<path d="M8 3v10m4.2-4.2L8 13 3.8 8.8" />);
export const ChevronIcon = icon(<path d="m6 3.5 4.5 4.5L6 12.5" />);
export const LinesIcon = icon(<path d="M2.5 3.5h11M2.5 6.5h7M2.5 9.5h9M2.5 12.5h5" />);
export const ChatIcon = icon(
  <path d="M2.5 4a1.5 1.5 0 0 1 1.5-1.5h8A1.5 1.5 0 0 1 13.5 4v5.5A1.5 1.5 0 0 1 12 11H7l-3 2.5V11a1.5 1.5 0 0 1-1.5-1.5Z" />,
);
export const UploadIcon = icon(<path d="M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M2.5 10.5v3h11v-3" />);
export const RefreshIcon = icon(<path d="M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3" />);
export const CopyIcon = icon(
  <>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.2" />
    <path d="M10.5 3.5v-1h-8v8h1" />
  </>,
);
export const CheckIcon = icon(<path d="m3 8.5 3.2 3.2L13 4.8" />);
export const AlertIcon = icon(<path d="M8 2.5 14 13H2ZM8 6.5v3M8 11.4v.1" />);
export const PencilIcon = icon(<path d="m3 13 .6-2.8 7-7a1.4 1.4 0 0 1 2.2 2.2l-7 7Z" />);
export const TrashIcon = icon(<path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9" />);
export const OutIcon = icon(<path d="M6.5 2.5h-4v11h4M6 8h7.5m-2.8-2.8L13.5 8l-2.8 2.8" />);

export function Mark({ className = "size-6" }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={`${className} shrink-0`} aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0f766e" />
      <path d="M8 10h16M8 16h10M8 22h13" stroke="#fff" strokeWidth="3" strokeLinecap="round" />
      <circle cx="24" cy="16" r="2.4" fill="#fbbf24" />
    </svg>
  );
}
