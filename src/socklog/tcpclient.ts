/**
 * Connecting on behalf of another program, as tcpclient does.
 *
 * @module
 */
import { close, dup, dup2, setNonblocking } from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { exec } from "../sys/process.ts";
import { getsockname } from "../sys/sockets.ts";
import { connectionInfo, variables, withVariables } from "./connection_info.ts";
import { connectToOneOf, dial, type DialOptions } from "./dialling.ts";
import { attempt } from "./attempt.ts";
import { lookUp, type LookUpOptions } from "./lookups.ts";
import type { Messages } from "./messages.ts";

/** Where to connect to, and the program to run. */
export interface ClientOptions extends DialOptions, LookUpOptions {
  /** The program and its arguments. */
  program: readonly string[];
}

/**
 * The descriptors by which a UCSPI client reads from and writes to the network.
 */
const FROM_NETWORK = 6;
const TO_NETWORK = 7;

/**
 * Connects, and replaces this process by the program (exec).
 *
 * @param options Where to connect to, and the program
 * @param messages Takes the messages
 * @throws {LogferryError} When it can't connect, or there is no such program;
 * otherwise this never returns
 */
export async function connectFor(
  options: ClientOptions,
  messages: Messages,
): Promise<never> {
  const [{ fd, remote }] = await connectToOneOf(
    [options],
    options,
    dial,
    messages,
  );
  const local = attempt("get local address", () => getsockname(fd));
  const info = connectionInfo(local, remote, options.localName);
  // The program sees all variables, so everything is looked up.
  await lookUp(info, options, {
    localHost: true,
    remoteHost: true,
    remoteInfo: true,
  });
  await messages.flushPatiently();
  setNonblocking(fd, false);
  // To a number above both, since it may have one of the two.
  const source = dup(fd, TO_NETWORK + 1);
  close(fd);
  attempt("set up descriptor 6", () => dup2(source, FROM_NETWORK));
  attempt("set up descriptor 7", () => dup2(source, TO_NETWORK));
  const { program } = options;
  return attempt(
    `run ${program[0]}`,
    () => exec(program, withVariables(environ(), variables(info))),
  );
}
