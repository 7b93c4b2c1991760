// Every read of the server, as TanStack Query options; the writes are plain functions beside them.
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api } from "./client";
import type {
  Conversation,
  ConversationId,
  ConversationPage,
  Job,
  JobId,
  LineContext,
  LineId,
  Login,
  LogStats,
  Me,
  MessageHits,
  MessagePage,
  Setup,
  SetupState,
  SignedIn,
  UseLink,
} from "./types";

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => api.request<Me>("/auth/me", { signal }),
  staleTime: Number.POSITIVE_INFINITY,
});

export const setupQuery = queryOptions({
  queryKey: ["setup"],
  queryFn: ({ signal }) => api.request<SetupState>("/auth/setup", { signal }),
  staleTime: 0,
});

export const conversationsQuery = infiniteQueryOptions({
  queryKey: ["conversations"],
  queryFn: ({ pageParam, signal }) =>
    api.request<ConversationPage>("/conversations", {
      query: { cursor: pageParam, limit: 40 },
      signal,
    }),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});

export function conversationSearchQuery(text: string) {
  return queryOptions({
    queryKey: ["conversation-search", text],
    queryFn: ({ signal }) =>
      api.request<MessageHits>("/conversations/search", { query: { q: text }, signal }),
    enabled: text !== "",
  });
}

export function lineContextQuery(id: LineId, around: number) {
  return queryOptions({
    queryKey: ["line", id, around],
    queryFn: ({ signal }) =>
      api.request<LineContext>(`/logs/lines/${encodeURIComponent(id)}`, {
        query: { before: around, after: around },
        signal,
      }),
  });
}

export const logStatsQuery = queryOptions({
  queryKey: ["logs", "stats"],
  queryFn: ({ signal }) => api.request<LogStats>("/logs/stats", { signal }),
});

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export function jobIsFinal(job: Job | undefined): boolean {
  return job !== undefined && FINAL.has(job.state);
}

export function jobQuery(id: JobId) {
  return queryOptions({
    queryKey: ["job", id],
    queryFn: ({ signal }) => api.request<Job>(`/jobs/${id}`, { signal }),
    refetchInterval: ({ state }) => (jobIsFinal(state.data) ? false : 700),
    refetchIntervalInBackground: true,
  });
}

export function signIn(login: Login): Promise<SignedIn> {
  return api.request<SignedIn>("/auth/login", { method: "POST", json: login });
}

export function spendLink(link: UseLink): Promise<SignedIn> {
  return api.request<SignedIn>("/auth/link", { method: "POST", json: link });
}

export function setUp(setup: Setup): Promise<SignedIn> {
  return api.request<SignedIn>("/auth/setup", { method: "POST", json: setup });
}

export function signOut(): Promise<void> {
  return api.request<void>("/auth/logout", { method: "POST", json: {} });
}

export function readMessages(id: ConversationId, cursor?: string): Promise<MessagePage> {
  return api.request<MessagePage>(`/conversations/${id}/messages`, {
    query: { cursor, limit: 50 },
  });
}

export function renameConversation(id: ConversationId, title: string): Promise<Conversation> {
  return api.request<Conversation>(`/conversations/${id}`, { method: "PATCH", json: { title } });
}

export function deleteConversation(id: ConversationId): Promise<void> {
  return api.request<void>(`/conversations/${id}`, { method: "DELETE" });
}

export function uploadLog(file: File): Promise<Job> {
  return api.request<Job>("/logs/upload", {
    method: "POST",
    query: { name: file.name },
    body: file,
  });
}

/** After anything that adds or changes a conversation. */
export function refreshConversations(client: QueryClient): void {
  void client.invalidateQueries({ queryKey: conversationsQuery.queryKey });
}
