// What a host app imports.

export type { Memory } from './memory'
export { StreamCard, type StreamCardProps } from './StreamCard'
export { type Language, languages, type Strings, type StringsOverride } from './strings'
export type { Gap, HistoryPoint, LinkPoint, Plan, Quote, StartRequest, Status } from './types'
