/**
 * All manual pages.
 *
 * @module
 */
import { multilog } from "./multilog.ts";
import type { Page } from "./page.ts";
import { socklogTcp } from "./socklog_tcp.ts";
import { tryto } from "./tryto.ts";

/** The pages. */
export const pages: readonly Page[] = [multilog, socklogTcp, tryto];
