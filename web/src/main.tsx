// The entry: takes a one-time token out of the address, then mounts the router.
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./app.css";
import { reloadOnLink, takeToken } from "./auth/oneTimeToken";
import { queryClient, router } from "./router";
import { reloadOnceOnStaleChunks } from "./staleChunks";

takeToken();
reloadOnLink();
reloadOnceOnStaleChunks();

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
