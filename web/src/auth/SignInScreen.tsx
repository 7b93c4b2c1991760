import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError } from "../api/error";
import { meQuery, signIn } from "../api/queries";
import { Button } from "../ui/Button";
import { InlineFailure } from "../ui/Failure";
import { useTitle } from "../ui/hooks";
import { AuthCard, TextField } from "./AuthForm";

/** A path of this page and nothing else. */
export function safeNext(next: string | undefined): string {
  return next && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** Whether an error asks for a code, or says that it was no good one. */
export function asksForCode(error: unknown): boolean {
  return (
    error instanceof ApiError && ["second_factor_required", "invalid_code"].includes(error.code)
  );
}

export function SignInScreen() {
  useTitle("Sign in");
  const { next } = useSearch({ from: "/sign-in" });
  const client = useQueryClient();
  const router = useRouter();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState<string | null>(null);
  const signingIn = useMutation({
    mutationFn: () => signIn({ username: username.trim(), password, code, transport: "cookie" }),
    onSuccess: async () => {
      client.removeQueries({ queryKey: meQuery.queryKey });
      await client.fetchQuery(meQuery);
      router.history.replace(safeNext(next));
    },
    onError: (error) => {
      setCode(asksForCode(error) ? "" : null);
      if (!asksForCode(error)) setPassword("");
    },
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
        {code !== null && (
          <TextField
            label="Code"
            hint="Of your authenticator, or one of your recovery codes."
            name="code"
            autoComplete="one-time-code"
            spellCheck={false}
            required
            autoFocus
            value={code}
            onChange={(event) => setCode(event.target.value)}
          />
        )}
        {signingIn.isError && <InlineFailure error={signingIn.error} />}
        <Button type="submit" look="primary" className="min-h-9" disabled={signingIn.isPending}>
          {signingIn.isPending ? "Signing in…" : "Sign in"}
        </Button>
      </form>
    </AuthCard>
  );
}
