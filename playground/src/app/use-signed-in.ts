import { useSyncExternalStore } from "react";
import type { SignIn } from "../signin/sign-in";

/** Whether somebody is signed in; false where nobody can. */
export function useSignedIn(signIn: SignIn | undefined): boolean {
  return useSyncExternalStore(signIn?.subscribe ?? never, signIn?.isSignedIn ?? no);
}

function never(): () => void {
  return no;
}

function no(): boolean {
  return false;
}
