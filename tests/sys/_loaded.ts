/**
 * Loads every function of the C library before any test runs: what is loaded
 * while a test runs looks like a leak of that test.
 */
import "../../src/sys/clock.ts";
import "../../src/sys/descriptors.ts";
import "../../src/sys/environment.ts";
import "../../src/sys/errors.ts";
import "../../src/sys/files.ts";
import "../../src/sys/limits.ts";
import "../../src/sys/names.ts";
import "../../src/sys/poll.ts";
import "../../src/sys/process.ts";
import "../../src/sys/sockets.ts";
import "../../src/sys/users.ts";
import "../../src/sys/watcher.ts";
import { loadAll } from "../../src/sys/libc.ts";

loadAll();
