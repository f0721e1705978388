import type { SignIn } from "../signin/sign-in";
import { Notice } from "./Notice";
import { useBegin } from "./use-begin";

/** Leads to the issuer, where somebody signs in. */
export function SignInForm({ signIn, error }: { signIn: SignIn; error: Error | undefined }) {
  const { begin, failure } = useBegin(signIn);
  const problem = failure ?? error?.message;
  return (
    <main tabIndex={-1} className="narrow">
      <h1>Sign in</h1>
      {problem !== undefined && <Notice kind="error">{problem}</Notice>}
      <p>You sign in at the issuer of tokens that this API trusts, and come back here.</p>
      <button type="button" className="primary" onClick={begin}>
        Sign in
      </button>
    </main>
  );
}

/** Says that a sign-in has ended, without taking away what is on the page. */
export function SignInAgain({ signIn }: { signIn: SignIn }) {
  const { begin, failure } = useBegin(signIn);
  return (
    <Notice kind="warning" action="Sign in again" onAction={begin}>
      {failure ?? "Your sign-in has ended."}
    </Notice>
  );
}
