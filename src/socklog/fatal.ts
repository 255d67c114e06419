/**
 * The one way in which anything here ends the program.
 *
 * @module
 */

/** The program can't go on. The message stands behind `socklog-tcp: fatal: `. */
export class Fatal extends Error {
  /** The class's name. */
  override name = "Fatal";
  /** The exit code: 111 for trouble, 100 for wrong usage. */
  readonly exitCode: number;

  /**
   * Makes it.
   *
   * @param message What went wrong
   * @param exitCode The exit code
   */
  constructor(message: string, exitCode = 111) {
    super(message);
    this.exitCode = exitCode;
  }
}
