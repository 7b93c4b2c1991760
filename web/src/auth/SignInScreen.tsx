import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { meQuery, signIn } from "../api/queries";
import { Button } from "../ui/Button";
import { InlineFailure } from "../ui/Failure";
import { useTitle } from "../ui/hooks";
import { AuthCard, TextField } from "./AuthForm";

/** A path of this page and nothing else. */
export function safeNext(next: string | undefined): string {
  return next && /^\/(?![/\\])/.test(next) ? next : "/";
}

export function SignInScreen() {
  useTitle("Sign in");
  const { next } = useSearch({ from: "/sign-in" });
  const client = useQueryClient();
  const router = useRouter();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const signingIn = useMutation({
    mutationFn: () => signIn({ username: username.trim(), password, transport: "cookie" }),
    onSuccess: async () => {
      client.removeQueries({ queryKey: meQuery.queryKey });
      await client.fetchQuery(meQuery);
      router.history.replace(safeNext(next));
    },
    onError: () => setPassword(""),
  });
  return (
    <AuthCard
      title="Sign in"
      lead={next ? "Your session has ended. Sign in to go on where you were." : "Ask your logs."}
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          signingIn.mutate();
        }}
      >
        <TextField
          label="User name"
          name="username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          autoFocus
          value={username}
          onChange={(event) => setUsername(event.target.value)}
        />
        <TextField
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        {signingIn.isError && <InlineFailure error={signingIn.error} />}
        <Button type="submit" look="primary" className="min-h-9" disabled={signingIn.isPending}>
          {signingIn.isPending ? "Signing in…" : "Sign in"}
        </Button>
      </form>
    </AuthCard>
  );
}
