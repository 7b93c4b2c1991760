import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { conversationSearchQuery } from "../api/queries";
import { Failure } from "../ui/Failure";
import { when } from "../ui/format";
import { ListSkeleton } from "./ListSkeleton";

/** Messages that hold the words, each leading to its conversation. */
export function ConversationSearch({ text }: { text: string }) {
  const found = useQuery(conversationSearchQuery(text));
  if (found.isPending) return <ListSkeleton label="Searching" />;
  if (found.isError) {
    return (
      <Failure title="The search failed" error={found.error} onRetry={() => void found.refetch()} />
    );
  }
  if (found.data.items.length === 0) {
    return <p className="px-2 py-4 text-soft">No message holds “{text}”.</p>;
  }
  const now = new Date();
  return (
    <ul aria-label="Found messages" className="flex flex-col gap-0.5">
      {found.data.items.map((hit) => (
        <li key={hit.message_id}>
          <Link
            to="/c/$conversationId"
            params={{ conversationId: hit.conversation.id }}
            className="block rounded-md px-2 py-1.5 hover:bg-hover"
          >
            <span className="flex items-baseline gap-2">
              <span className="min-w-0 flex-1 truncate font-medium">{hit.conversation.title}</span>
              <span className="text-xs text-soft">{when(hit.created_at, now)}</span>
            </span>
            <span className="line-clamp-2 text-xs text-soft">
              {hit.author === "user" ? "You: " : ""}
              {hit.excerpt}
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
