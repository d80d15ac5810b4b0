import { statSync } from 'node:fs'
import type { Hello } from '../executor/protocol.ts'

/** Folders that shims search for plugins, as far as this process sees the same ones. */
export interface SearchedFolders {
  /** A shim has said where it looks. */
  searched(hello: Pick<Hello, 'searchPath' | 'searchMark'>): void
  /** Those of the last shim; none while one of them is not seen here, or no shim has come yet. */
  visible(): readonly string[]
}

/** Makes an empty memory. */
export function openSearchedFolders(): SearchedFolders {
  let last: Pick<Hello, 'searchPath' | 'searchMark'> | undefined
  return {
    searched({ searchPath, searchMark }) {
      last = { searchPath, searchMark }
    },
    visible() {
      if (last === undefined) return []
      const marks = last.searchMark.split('\0')
      const folders = last.searchPath.map((folder, index) => ({ folder, mark: marks[index] ?? '' }))
      // What the node does not have is not searched.
      const there = folders.filter(({ mark }) => mark !== '')
      return there.every(({ folder, mark }) => mark.split(':')[0] === inodeOf(folder))
        ? there.map(({ folder }) => folder)
        : []
    },
  }
}

/** In a container a path may lead to another folder than on the node. */
function inodeOf(folder: string): string | undefined {
  try {
    return String(statSync(folder, { bigint: true }).ino)
  } catch {
    return undefined
  }
}
