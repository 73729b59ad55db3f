/**
 * A mistake a user can mend. The message is one sentence: what was expected, what came, where, what to do.
 * The command line prints it without a stack trace and exits with a non-zero code.
 */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Throws a {@link UserError} where an expression is wanted, as in `value ?? fail("...")`. */
export function fail(message: string): never {
  throw new UserError(message);
}
