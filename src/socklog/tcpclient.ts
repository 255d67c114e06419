/**
 * Connecting for another program, as tcpclient does.
 *
 * @module
 */
import { close, dup, dup2, setNonblocking } from "../sys/descriptors.ts";
import { environ } from "../sys/environment.ts";
import { exec } from "../sys/process.ts";
import { getsockname } from "../sys/sockets.ts";
import type { ClientArguments } from "./arguments.ts";
import { connectTo } from "./dialling.ts";
import { attempt } from "./fatal.ts";
import { lookUp, questions } from "./lookups.ts";
import type { Messages } from "./messages.ts";
import { peersOf, variables, withVariables } from "./ucspi.ts";

/** Where a UCSPI client has the network: it reads from 6 and writes to 7. */
const FROM_NETWORK = 6;
const TO_NETWORK = 7;

/**
 * Connects, and becomes the program.
 *
 * @param args The command line
 * @param messages Where to say what happens
 * @throws {Fatal} When it can't connect, or there is no such program;
 * otherwise this never returns
 */
export async function connectFor(
  args: ClientArguments,
  messages: Messages,
): Promise<never> {
  const { fd, remote } = await connectTo(args, messages);
  const local = attempt("get local address", () => getsockname(fd));
  const peers = peersOf(local, remote, args.localName);
  const asked = questions(args);
  if (asked !== undefined) await lookUp(peers, asked);
  messages.flush();
  setNonblocking(fd, false);
  // Out of the way of both, whatever number it has.
  const source = dup(fd, TO_NETWORK + 1);
  close(fd);
  attempt("set up descriptor 6", () => dup2(source, FROM_NETWORK));
  attempt("set up descriptor 7", () => dup2(source, TO_NETWORK));
  return attempt(
    `run ${args.program[0]}`,
    () => exec(args.program, withVariables(environ(), variables(peers))),
  );
}
