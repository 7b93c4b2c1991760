import { useInfiniteQuery } from "@tanstack/react-query";
import { conversationsQuery } from "../api/queries";
import type { ConversationId } from "../api/types";
import { useTitle } from "../ui/hooks";

/** The document's title is the conversation's, as the sidebar knows it. */
export function useConversationTitle(id: ConversationId | null): string {
  const { data } = useInfiniteQuery(conversationsQuery);
  const items = data?.pages.flatMap((page) => page.items) ?? [];
  const found = items.find((item) => item.id === id);
  const title = id ? (found?.title ?? "Chat") : "New chat";
  useTitle(title);
  return title;
}
