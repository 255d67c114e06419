/**
 * Connecting for another program, as tcpclient does.
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

/** Where to connect to, and for which program. */
export interface ClientOptions extends DialOptions, LookUpOptions {
  /** The program and its arguments. */
  program: readonly string[];
}

/** Where a UCSPI client has the network: it reads from 6 and writes to 7. */
const FROM_NETWORK = 6;
const TO_NETWORK = 7;

/**
 * Connects, and becomes the program.
 *
 * @param options Where to, and for which program
 * @param messages Where to say what happens
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
  // The program sees all.
  await lookUp(info, options, {
    localHost: true,
    remoteHost: true,
    remoteInfo: true,
  });
  await messages.flushPatiently();
  setNonblocking(fd, false);
  // Out of the way of both, whatever number it has.
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
