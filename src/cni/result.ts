/** `dns` of a result. */
export interface Dns {
  nameservers?: string[]
  domain?: string
  search?: string[]
  options?: string[]
}

/** A route; `mtu` … `scope` are 1.1.0. */
export interface Route {
  dst: string
  gw?: string
  mtu?: number
  advmss?: number
  priority?: number
  table?: number
  scope?: number
}

/** `main` of the kernel's routing tables, and `unspec`, which stands for it. */
const MAIN_TABLES: ReadonlySet<number | undefined> = new Set([undefined, 0, 254])

/** Whether a route is for every packet, not only for those that a rule sends to its table. */
export function isInMainTable({ table }: Route): boolean {
  return MAIN_TABLES.has(table)
}

/** An interface of a result; one without `sandbox` is on the host. `mtu`, `socketPath`, `pciID` are 1.1.0. */
export interface ResultInterface {
  name: string
  mac?: string
  sandbox?: string
  mtu?: number
  socketPath?: string
  pciID?: string
}

/** An address; `interface` is the index in `interfaces`, possibly absent, -1 or out of range (CNI-127). */
export interface ResultIp {
  address: string
  gateway?: string
  interface?: number
}

/**
 * A result inside Plexus: the shape of 1.1.0, whatever version it came in, so that nothing is lost
 * before the answer is written (CNI-134). `version` is the version that it was given in.
 */
export interface Result {
  version: import('./version.ts').CniVersion
  interfaces: ResultInterface[]
  ips: ResultIp[]
  routes: Route[]
  dns: Dns
}
