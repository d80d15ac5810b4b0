import { textOf } from './bounded-reading.ts'
import type { Found } from './finding.ts'

interface Setting {
  readonly id: 'ip-forward-off' | 'inotify-limit' | 'rp-filter-strict'
  readonly name: string
  readonly isGood: (value: number) => boolean
  readonly what: string
  readonly better: number
}

const SETTINGS: readonly Setting[] = [
  {
    id: 'ip-forward-off',
    name: 'net.ipv4.ip_forward',
    isGood: (value) => value === 1,
    what: 'the node does not forward IPv4: pods on bridges and routed networks reach nobody beyond it',
    better: 1,
  },
  {
    id: 'inotify-limit',
    name: 'fs.inotify.max_user_instances',
    isGood: (value) => value >= 128,
    what: 'few inotify instances are left to root: changes of the conf folder are seen late',
    better: 512,
  },
  {
    id: 'inotify-limit',
    name: 'fs.inotify.max_user_watches',
    isGood: (value) => value >= 8192,
    what: 'few inotify watches are left to root: changes of the conf folder are seen late',
    better: 65_536,
  },
  {
    id: 'rp-filter-strict',
    name: 'net.ipv4.conf.all.rp_filter',
    isGood: (value) => value !== 1,
    what: 'pods inherit strict reverse path filtering: what arrives by one interface and is answered by another is dropped',
    better: 2,
  },
]

/** Settings of the kernel that networks of pods depend on. */
export function kernelProbe(): Found[] {
  return SETTINGS.flatMap(({ id, name, isGood, what, better }) => {
    const path = `/proc/sys/${name.replaceAll('.', '/')}`
    const text = textOf(path)
    if (text === undefined || isGood(Number(text))) return []
    return [{ id, what, evidence: [`${name} = ${text.trim()}`], fix: `sysctl -w ${name}=${better}` }]
  })
}
