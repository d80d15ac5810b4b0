/** Where a map's pods and networks are read. */
export type MapSource = 'journal' | 'cluster' | 'manifests'

/** How `plexus map` prints: the picture, or its model. */
export type MapFormat = 'svg' | 'json'

export const MAP_FORMATS: readonly MapFormat[] = ['svg', 'json']
