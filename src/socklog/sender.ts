/**
 * The log sender: standard input to a log server.
 *
 * @module
 */
import { latin1 } from "../bytes.ts";
import { close, EAGAIN, read, write } from "../sys/descriptors.ts";
import { SysError } from "../sys/errors.ts";
import { Poller, READABLE, WRITABLE } from "../sys/poll.ts";
import { closeWrite, unacknowledgedBytes } from "../sys/sockets.ts";
import { complaint, LONGEST_ANSWER } from "./acknowledgement.ts";
import { connectTo, type DialOptions } from "./dialling.ts";
import { Fatal } from "./fatal.ts";
import type { Messages } from "./messages.ts";

const BUFFER = 256 * 1024;

/** Where to send, and how. */
export interface SendOptions extends DialOptions {
  /** Whether only an acknowledgement of every byte is success (`-a`). */
  acknowledge: boolean;
}

/**
 * Sends standard input, and waits until the server has closed the connection:
 * only that is success. With `-a` only the right acknowledgement is.
 *
 * @param options Where to, and how
 * @param messages Where to say what happens
 * @throws {Fatal} When not everything has arrived, as far as is known
 */
export async function send(
  options: SendOptions,
  messages: Messages,
): Promise<void> {
  const connection = await connectTo(options, messages);
  messages.flush();
  try {
    const transfer = new Transfer(connection.fd);
    transfer.run();
    if (options.acknowledge) transfer.checkAnswer();
  } finally {
    close(connection.fd);
  }
}

class Transfer {
  readonly #fd: number;
  readonly #poller = new Poller(2);
  readonly #buffer = new Uint8Array(BUFFER);
  readonly #input = new Uint8Array(65536);
  /** What of the buffer is still to be sent. */
  #first = 0;
  #end = 0;
  #sent = 0;
  #answer = "";
  /** Whether standard input has ended. */
  #inputEnded = false;
  /** Whether the server has been told so. */
  #finished = false;
  /** Whether the server has closed its side. */
  #answerEnded = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  run(): void {
    while (!this.#answerEnded) {
      this.#watch();
      // There are no signals to be noticed and nothing else to be done.
      this.#poller.look(-1);
      if (this.#poller.found(0) !== 0) this.#fill();
      const found = this.#poller.found(1);
      if (this.#first < this.#end) this.#send();
      if (found & ~WRITABLE) this.#listen();
      if (this.#inputEnded && this.#first === this.#end) this.#finish();
    }
  }

  #watch(): void {
    const empty = this.#first === this.#end;
    this.#poller.set(0, empty && !this.#inputEnded ? 0 : -1, READABLE);
    this.#poller.set(1, this.#fd, empty ? READABLE : READABLE | WRITABLE);
  }

  #fill(): void {
    const n = read(0, this.#buffer);
    if (n === -EAGAIN) return;
    if (n < 0) {
      throw new Fatal(
        `unable to read standard input: ${new SysError(-n).message}`,
      );
    }
    if (n === 0) this.#inputEnded = true;
    this.#first = 0;
    this.#end = n;
  }

  #send(): void {
    const n = write(this.#fd, this.#buffer.subarray(this.#first, this.#end));
    if (n === -EAGAIN) return;
    if (n < 0) throw failure(n);
    this.#first += n;
    this.#sent += n;
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    try {
      closeWrite(this.#fd);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      throw new Fatal(`unable to send: ${error.message}`);
    }
  }

  #listen(): void {
    const n = read(this.#fd, this.#input);
    if (n === -EAGAIN) return;
    if (n < 0) throw failure(n);
    if (n > 0) {
      if (this.#answer.length < LONGEST_ANSWER) {
        this.#answer += latin1(this.#input.subarray(0, n));
      }
      return;
    }
    this.#answerEnded = true;
    // The end that the other side has sent carries its word for all that had
    // arrived by then; without it, these bytes met nobody. Our own end counts
    // as one, and may still be on its way to a server that knows enough.
    if (!this.#finished || unacknowledgedBytes(this.#fd) > 1) {
      throw new Fatal("connection closed before everything was sent");
    }
  }

  checkAnswer(): void {
    const wrong = complaint(this.#answer, this.#sent);
    if (wrong !== undefined) throw new Fatal(wrong);
  }
}

function failure(result: number): Fatal {
  return new Fatal(`unable to send: ${new SysError(-result).message}`);
}
