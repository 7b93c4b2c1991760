import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api } from "../api/client";
import type { LogPage, PatternPage } from "../api/types";
import { type LogView, requestOf } from "./view";

const PAGE = 200;

/** A page, and when its search began: a time range such as "last hour" is the same on all pages. */
export interface FoundPage extends LogPage {
  began: Date;
}

interface PageParam {
  cursor?: string;
  began?: Date;
}

const MOST_PATTERNS = 200;

/** What the lines of a search have in common. */
export function patternsQuery({ line: _, order: __, ...view }: LogView) {
  return queryOptions({
    queryKey: ["logs", "patterns", view],
    queryFn: ({ signal }) =>
      api.request<PatternPage>("/logs/patterns", {
        query: { ...requestOf(view, new Date()), order: view.patterns, limit: MOST_PATTERNS },
        signal,
      }),
    placeholderData: keepPreviousData,
  });
}

/** One search and its further pages; the line whose context is open is no part of it. */
export function logSearchQuery({ line: _, patterns, ...view }: LogView) {
  return infiniteQueryOptions({
    queryKey: ["logs", "search", view],
    enabled: patterns === undefined,
    queryFn: async ({ pageParam, signal }): Promise<FoundPage> => {
      const began = pageParam.began ?? new Date();
      const page = await api.request<LogPage>("/logs/search", {
        query: {
          ...requestOf(view, began),
          limit: PAGE,
          cursor: pageParam.cursor,
          partial: "true",
        },
        signal,
      });
      return { ...page, began };
    },
    initialPageParam: {} as PageParam,
    getNextPageParam: (page): PageParam | undefined =>
      page.next_cursor ? { cursor: page.next_cursor, began: page.began } : undefined,
    placeholderData: keepPreviousData,
  });
}
