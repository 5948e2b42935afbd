// Another app, as somebody else would write it: the packed card by its package name, twice, among own styles.
// The tests copy it to an empty folder, install what it needs there, build it and look at it.
// The backend's address comes as ?api=…

import { StreamCard, type StringsOverride } from '@ibstream/stream-card'
import '@ibstream/stream-card/stream-card.css'
import { createRoot } from 'react-dom/client'

const api = new URLSearchParams(location.search).get('api') ?? ''
const words: StringsOverride = { title: 'Our feed', status: { connected: 'All is well' } }

const app = document.getElementById('app')
if (app) {
  createRoot(app).render(
    <main>
      <h1>Host app</h1>
      <p id="own-text">The host’s own text, button and table keep the host’s own look.</p>
      <button id="own-button" type="button">
        Own button
      </button>
      <StreamCard apiBase={api} strings={words} theme="light" />
      <StreamCard apiBase={api} language="zh" theme="dark" className="second" />
    </main>,
  )
}
