const WIDTHS = ["w-4/5", "w-3/5", "w-11/12", "w-1/2", "w-3/4"];

export function ListSkeleton({ label }: { label: string }) {
  return (
    <div role="status" className="flex flex-col gap-3 px-2 py-3">
      <span className="sr-only">{label}</span>
      {WIDTHS.map((width) => (
        <div key={width} className={`skeleton h-3.5 ${width}`} />
      ))}
    </div>
  );
}
