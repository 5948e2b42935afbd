// What a host app imports.

// By path: a host has no package of that name, and finds these types in the card's own.
export type {
  Gap,
  HistoryPoint,
  LinkPoint,
  Plan,
  Quote,
  StartRequest,
  Status,
} from '../../client/src/index.js'
export type { Memory } from './memory'
export { StreamCard, type StreamCardProps } from './StreamCard'
export { type Language, languages, type Strings, type StringsOverride } from './strings'
