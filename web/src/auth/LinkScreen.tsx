// A one-time link: whoever was invited, or lost a password, chooses one here.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { meQuery, spendLink } from "../api/queries";
import { Button } from "../ui/Button";
import { InlineFailure } from "../ui/Failure";
import { useTitle } from "../ui/hooks";
import { AuthCard, LEAST_PASSWORD, problemsOfPassword, TextField } from "./AuthForm";
import { oneTimeToken } from "./oneTimeToken";

export function LinkScreen() {
  useTitle("Choose a password");
  const token = oneTimeToken();
  if (token === null) {
    return (
      <AuthCard title="Open the whole link" lead="This address needs the token behind its # sign.">
        <p className="text-soft">Ask the person who gave you the link for it.</p>
      </AuthCard>
    );
  }
  return <LinkForm token={token} />;
}

function LinkForm({ token }: { token: string }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [fields, setFields] = useState({ password: "", again: "" });
  const [problems, setProblems] = useState<ReturnType<typeof problemsOfPassword>>({});
  const choosing = useMutation({
    mutationFn: () => spendLink({ token, password: fields.password, transport: "cookie" }),
    onSuccess: async () => {
      client.removeQueries({ queryKey: meQuery.queryKey });
      await client.fetchQuery(meQuery);
      await navigate({ to: "/", replace: true });
    },
  });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const found = problemsOfPassword(fields);
    setProblems(found);
    if (Object.keys(found).length === 0) choosing.mutate();
  };
  const bind = (name: "password" | "again") => ({
    type: "password",
    autoComplete: "new-password",
    value: fields[name],
    error: problems[name],
    onChange: (event: { target: { value: string } }) => {
      setFields((old) => ({ ...old, [name]: event.target.value }));
      setProblems((old) => ({ ...old, [name]: undefined }));
    },
  });
  return (
    <AuthCard title="Choose a password" lead="The link works once. You are signed in with it.">
      <form className="flex flex-col gap-4" noValidate onSubmit={submit}>
        <TextField
          label="Password"
          hint={`At least ${LEAST_PASSWORD} characters, and not easily guessed.`}
          {...bind("password")}
        />
        <TextField label="Password again" {...bind("again")} />
        {choosing.isError && <InlineFailure error={choosing.error} />}
        <Button type="submit" look="primary" className="min-h-9" disabled={choosing.isPending}>
          {choosing.isPending ? "Saving…" : "Save and sign in"}
        </Button>
      </form>
    </AuthCard>
  );
}
