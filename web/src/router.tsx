// Routes, the guard before them, and what happens when the session ends.
import { QueryClient } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { api } from "./api/client";
import { ApiError, isSignedOut } from "./api/error";
import { conversationsQuery, meQuery, setupQuery } from "./api/queries";
import { type LogView, readView } from "./logs/view";
import { session } from "./session";
import { NotFoundScreen, RootFailure, StartingScreen } from "./shell/screens";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      // Only what may pass by itself is worth another attempt.
      retry: (failures, error) =>
        failures < 2 && (!(error instanceof ApiError) || error.status >= 500),
    },
  },
});

async function signedIn({ location }: { location: { href: string } }): Promise<void> {
  try {
    await queryClient.ensureQueryData({ ...meQuery, retry: false });
  } catch (error) {
    if (!isSignedOut(error)) throw error;
    const setup = await queryClient.fetchQuery({ ...setupQuery, retry: false });
    if (setup.required) throw redirect({ to: "/setup" });
    const next = location.href === "/" ? undefined : location.href;
    throw redirect({ to: "/sign-in", search: next ? { next } : {} });
  }
}

const rootRoute = createRootRoute({ component: Outlet });

const setupRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/setup",
  component: lazyRouteComponent(() => import("./auth/SetupScreen"), "SetupScreen"),
});

const linkRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/link",
  component: lazyRouteComponent(() => import("./auth/LinkScreen"), "LinkScreen"),
});

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/sign-in",
  validateSearch: (search: Record<string, unknown>): { next?: string } =>
    typeof search.next === "string" ? { next: search.next } : {},
  component: lazyRouteComponent(() => import("./auth/SignInScreen"), "SignInScreen"),
});

const appRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "app",
  beforeLoad: signedIn,
  component: lazyRouteComponent(() => import("./shell/AppShell"), "AppShell"),
});

const newChatRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/",
  component: lazyRouteComponent(() => import("./chat/ChatScreen"), "NewChatScreen"),
});

const chatRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/c/$conversationId",
  component: lazyRouteComponent(() => import("./chat/ChatScreen"), "ConversationScreen"),
});

const logsRoute = createRoute({
  getParentRoute: () => appRoute,
  path: "/logs",
  validateSearch: (search: Record<string, unknown>): LogView => readView(search),
  component: lazyRouteComponent(() => import("./logs/LogScreen"), "LogScreen"),
});

const routeTree = rootRoute.addChildren([
  setupRoute,
  linkRoute,
  signInRoute,
  appRoute.addChildren([newChatRoute, chatRoute, logsRoute]),
]);

export const router = createRouter({
  routeTree,
  defaultPreload: "intent",
  defaultPendingComponent: StartingScreen,
  defaultErrorComponent: RootFailure,
  defaultNotFoundComponent: NotFoundScreen,
  // Plain text in the address: a query of digits stays text.
  parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
  stringifySearch: (search) => {
    const parameters = new URLSearchParams();
    for (const [key, value] of Object.entries(search)) {
      if (value !== undefined && value !== null && value !== "") parameters.set(key, String(value));
    }
    const text = parameters.toString();
    return text ? `?${text}` : "";
  },
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

/** The session is over: what is typed and not yet sent stays, and is there again after sign-in. */
function sessionEnded(): void {
  session.stopLive();
  queryClient.removeQueries({ queryKey: meQuery.queryKey });
  const { pathname, href } = router.state.location;
  if (["/sign-in", "/setup", "/link"].includes(pathname)) return;
  void router.navigate({ to: "/sign-in", search: { next: href } });
}

api.onSignedOut = () => {
  // Before the first sign-in the guard decides, which also knows of setup.
  if (queryClient.getQueryData(meQuery.queryKey)) sessionEnded();
};
session.ended = sessionEnded;
session.conversationsChanged = () => {
  void queryClient.invalidateQueries({ queryKey: conversationsQuery.queryKey });
};
