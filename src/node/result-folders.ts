/** Where runtimes keep what plugins answered, one file for each attachment: of today's library and of older ones. */
export const RESULT_FOLDERS: readonly string[] = ['/var/lib/cni/results', '/var/lib/cni/cache/results']
