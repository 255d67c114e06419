/**
 * All manual pages.
 *
 * @module
 */
import { migrate } from "./migrate.ts";
import { multilog } from "./multilog.ts";
import type { Page } from "./page.ts";
import { socklogTcp } from "./socklog_tcp.ts";
import { tryto } from "./tryto.ts";

/** The programs' pages. */
export const pages: readonly Page[] = [multilog, socklogTcp, tryto];
/** The others. */
export const guides: readonly Page[] = [migrate];
