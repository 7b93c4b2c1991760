import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { fieldError } from "../api/error";
import { meQuery, setUp, setupQuery } from "../api/queries";
import { Button, buttonClass } from "../ui/Button";
import { Failure, InlineFailure } from "../ui/Failure";
import { useTitle } from "../ui/hooks";
import { AuthCard, LEAST_PASSWORD, problemsOfPassword, TextField } from "./AuthForm";
import { oneTimeToken, tokenFromPaste } from "./oneTimeToken";

const USERNAME = /^[A-Za-z0-9._@-]{1,64}$/;

interface Fields {
  token: string;
  username: string;
  displayName: string;
  password: string;
  again: string;
}

type Problems = Partial<Record<keyof Fields, string>>;

export function problemsOf(fields: Fields): Problems {
  const problems: Problems = {};
  if (!fields.token.trim()) problems.token = "Paste the link that the server printed.";
  if (!USERNAME.test(fields.username.trim())) {
    problems.username = "1 to 64 letters, digits, or . _ - @";
  }
  return { ...problems, ...problemsOfPassword(fields) };
}

export function SetupScreen() {
  useTitle("Set up");
  const state = useQuery(setupQuery);
  if (state.isError) {
    return (
      <main className="grid min-h-full place-items-center">
        <Failure
          title="Setup cannot start"
          error={state.error}
          onRetry={() => void state.refetch()}
        />
      </main>
    );
  }
  if (state.data && !state.data.required) {
    return (
      <AuthCard title="Already set up" lead="The administrator of this Callboard exists.">
        <Link to="/sign-in" className={buttonClass("primary", "w-full")}>
          Sign in
        </Link>
      </AuthCard>
    );
  }
  return <SetupForm />;
}

function SetupForm() {
  const token = oneTimeToken();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [fields, setFields] = useState<Fields>({
    token: token ?? "",
    username: "admin",
    displayName: "",
    password: "",
    again: "",
  });
  const [problems, setProblems] = useState<Problems>({});
  const making = useMutation({
    mutationFn: () =>
      setUp({
        token: tokenFromPaste(fields.token),
        username: fields.username.trim(),
        display_name: fields.displayName.trim() || null,
        password: fields.password,
        transport: "cookie",
      }),
    onSuccess: async () => {
      client.removeQueries({ queryKey: meQuery.queryKey });
      await client.fetchQuery(meQuery);
      await navigate({ to: "/", replace: true });
    },
  });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const found = problemsOf(fields);
    setProblems(found);
    if (Object.keys(found).length === 0) making.mutate();
  };
  const bind = (name: keyof Fields, wire: string) => ({
    name: wire,
    value: fields[name],
    error: problems[name] ?? fieldError(making.error, wire),
    onChange: (event: { target: { value: string } }) => {
      setFields((old) => ({ ...old, [name]: event.target.value }));
      setProblems((old) => ({ ...old, [name]: undefined }));
    },
  });
  return (
    <AuthCard title="Welcome" lead="Create the administrator. The setup link works once.">
      <form className="flex flex-col gap-4" noValidate onSubmit={submit}>
        {token === null && (
          <TextField
            label="Setup link"
            hint="The server printed it when it started."
            autoComplete="off"
            {...bind("token", "token")}
          />
        )}
        <TextField
          label="User name"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          {...bind("username", "username")}
        />
        <TextField
          label="Display name"
          hint="Optional."
          autoComplete="name"
          {...bind("displayName", "display_name")}
        />
        <TextField
          label="Password"
          type="password"
          hint={`At least ${LEAST_PASSWORD} characters.`}
          autoComplete="new-password"
          {...bind("password", "password")}
        />
        <TextField
          label="Password again"
          type="password"
          autoComplete="new-password"
          {...bind("again", "password_again")}
        />
        {making.isError && <InlineFailure error={making.error} />}
        <Button type="submit" look="primary" className="min-h-9" disabled={making.isPending}>
          {making.isPending ? "Creating…" : "Create administrator"}
        </Button>
      </form>
    </AuthCard>
  );
}
