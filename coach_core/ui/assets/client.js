// What the browser does by itself on the chat page: citation links, copying, drafts, focus, the up arrow.
// Nothing here talks to another host; drafts stay in this tab (sessionStorage).
const INPUT = '[data-testid="stChatInputTextArea"]'
const DRAFT = "coach.draft."
const SENT = "coach.sent"

const store = {
  get: (key) => { try { return sessionStorage.getItem(key) || "" } catch { return "" } },
  set: (key, value) => {
    try { value ? sessionStorage.setItem(key, value) : sessionStorage.removeItem(key) } catch { /* private mode */ }
  },
}
const field = () => document.querySelector(INPUT)
const start = (text) => [...(text || "").trim()].slice(0, 300).join("")

function fill(text, instead = false) {
  const area = field()
  if (!area || (area.value && !instead) || area.value === (text || "")) return
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, text)
  area.dispatchEvent(new Event("input", { bubbles: true }))
}

async function copy(button) {
  const id = [...button.closest('[class*="st-key-copy-"]').classList]
    .find((name) => name.startsWith("st-key-copy-")).slice("st-key-copy-".length)
  const source = document.querySelector(`.st-key-text-${CSS.escape(id)}`)
  if (!source) return
  await navigator.clipboard.writeText(source.innerText.replace(/\n{3,}/g, "\n\n").trim())
  say("Copied")
  button.classList.add("coach-copied")
  setTimeout(() => button.classList.remove("coach-copied"), 1500)
}

function say(text) {
  let region = document.getElementById("coach-live")
  if (!region) {
    region = document.createElement("div")
    region.id = "coach-live"
    region.setAttribute("aria-live", "polite")
    document.body.appendChild(region)
  }
  region.textContent = text
}

const page = { data: {}, left: "", send: () => {}, fresh: true, follow: true, until: 0, top: 0 }

// What was sent but is not yet among the messages is put back: the connection may have been lost with it.
function settle() {
  const sent = store.get(SENT)
  if (sent && page.data.last === start(sent)) store.set(SENT, "")
  else if (sent && page.fresh) { store.set(SENT, ""); fill(sent) }
  const typed = field()?.value // perhaps before this script was here
  // Each thread has a draft of its own; what is typed while a first question makes its thread goes along.
  const switched = page.left && !(page.left === "new" && page.data.running)
  if (page.fresh && switched) fill(store.get(DRAFT + page.data.thread), true)
  else if (page.fresh && typed) store.set(DRAFT + page.data.thread, typed)
  else if (page.fresh) fill(store.get(DRAFT + page.data.thread))
  page.fresh = false
  page.left = ""
}

function sent() {
  const text = field()?.value
  const key = DRAFT + page.data.thread
  if (!text?.trim()) return
  setTimeout(() => { if (!field()?.value) { store.set(SENT, text); store.set(key, "") } }, 150)
}

function onClick(event) {
  const link = event.target.closest?.('a[href^="#cite-"]')
  if (link) {
    event.preventDefault()
    page.send("cite", link.getAttribute("href").slice("#cite-".length))
    return
  }
  const chip = event.target.closest?.('[class*="st-key-command-"]')
  if (chip && event.target.closest("button") && field()) {
    event.preventDefault()
    event.stopPropagation()
    const name = [...chip.classList].find((c) => c.startsWith("st-key-command-")).slice("st-key-command-".length)
    const typed = field().value.replace(/^\s*\/[\w-]*[ \t]*/, "")
    fill(`/${name} ${typed}`, true)
    field().focus()
    return
  }
  if (event.target.closest?.(".st-key-earlier button, .st-key-later button")) hold()
  const button = event.target.closest?.('[class*="st-key-copy-"] button')
  if (button) {
    event.preventDefault()
    event.stopPropagation()
    copy(button).catch(() => say("Copying is not allowed here"))
  }
  if (event.target.closest?.('[data-testid="stChatInputSubmitButton"]')) sent()
}

function onKey(event) {
  if (!event.target.matches?.(INPUT)) return
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) sent()
  if (event.key === "ArrowUp" && !event.target.value) {
    const buttons = document.querySelectorAll('[class*="st-key-edit-"] button')
    if (buttons.length) { event.preventDefault(); buttons[buttons.length - 1].click() }
  }
}

function onInput(event) {
  if (!event.target.matches?.(INPUT)) return
  store.set(DRAFT + page.data.thread, event.target.value)
  store.set(SENT, "")
}

function onLost() {
  const state = document.querySelector("[data-test-connection-state]")?.getAttribute("data-test-connection-state")
  if (page.connection && page.connection !== "CONNECTED" && state === "CONNECTED") page.fresh = true
  page.connection = state
}

// While an answer grows the page stays at its end, unless the person has scrolled away from it.
const main = () => document.querySelector('[data-testid="stMain"]')
const toEnd = () => { const box = main(); if (box) box.scrollTop = box.scrollHeight }

function onScroll(event) {
  const box = event.target
  if (box !== main()) return
  if (box.scrollHeight - box.scrollTop - box.clientHeight < 140) page.follow = true
  else if (box.scrollTop < page.top - 4) page.follow = false
  page.top = box.scrollTop
}

// Earlier messages come in above what is read: that stays where it is.
function hold() {
  const first = [...document.querySelectorAll('[class*="st-key-user-"], [class*="st-key-assistant-"]')]
    .find((one) => one.getBoundingClientRect().bottom > 0)
  const name = first && [...first.classList].find((c) => /^st-key-(user|assistant)-/.test(c))
  page.follow = false
  page.held = name && { name, top: first.getBoundingClientRect().top, until: Date.now() + 5000 }
}

function keep() {
  const found = page.held && document.querySelector(`.${CSS.escape(page.held.name)}`)
  if (!found || Date.now() > page.held.until) return
  const by = found.getBoundingClientRect().top - page.held.top
  if (Math.abs(by) > 1) main().scrollTop += by
}

function onGrowth() {
  keep()
  if (page.follow && Date.now() < page.until) toEnd()
}

function listen() {
  const free = () => { page.held = null }
  document.addEventListener("wheel", free, { capture: true, passive: true })
  document.addEventListener("touchmove", free, { capture: true, passive: true })
  document.addEventListener("scroll", onScroll, true)
  const growth = new MutationObserver(onGrowth)
  growth.observe(main() || document.body, { childList: true, subtree: true, characterData: true })
  document.addEventListener("click", onClick, true)
  document.addEventListener("keydown", onKey, true)
  document.addEventListener("input", onInput, true)
  const app = document.querySelector("[data-test-connection-state]")
  const observer = new MutationObserver(onLost)
  if (app) observer.observe(app, { attributes: true, attributeFilter: ["data-test-connection-state"] })
  onLost()
  return () => {
    growth.disconnect()
    document.removeEventListener("wheel", free, true)
    document.removeEventListener("touchmove", free, true)
    document.removeEventListener("scroll", onScroll, true)
    document.removeEventListener("click", onClick, true)
    document.removeEventListener("keydown", onKey, true)
    document.removeEventListener("input", onInput, true)
    observer.disconnect()
  }
}

function finished() {
  const answers = document.querySelectorAll('[class*="st-key-text-"]')
  if (answers.length) say(answers[answers.length - 1].innerText)
  const idle = !document.activeElement || document.activeElement === document.body
  if (idle && matchMedia("(hover: hover)").matches) field()?.focus()
}

// A link from a search leads to one message: it is shown, and lit for a moment.
function show(id, tries = 20) {
  page.follow = false
  const found = document.querySelector(`.st-key-user-${CSS.escape(id)}, .st-key-assistant-${CSS.escape(id)}`)
  if (!found) { if (tries) setTimeout(() => show(id, tries - 1), 150); return }
  found.scrollIntoView({ block: "center" })
  const light = "color-mix(in srgb, currentColor 12%, transparent)"
  found.animate([{ background: light }, { background: light, offset: .6 }, { background: "transparent" }], 3000)
}

let stop = null

export default function ({ data, setTriggerValue }) {
  const before = page.data
  page.data = data || {}
  page.send = setTriggerValue
  stop ??= listen()
  const moved = before.thread !== page.data.thread
  if (moved) { page.fresh = true; page.left = before.thread || "" }
  if (moved || (page.data.running && !before.running)) page.follow = true
  if (moved || before.running !== page.data.running) page.until = page.data.running ? Infinity : Date.now() + 4000
  if (moved && !page.data.message) [100, 500, 1200].forEach((ms) => setTimeout(onGrowth, ms))
  if (page.data.message && before.message !== page.data.message) show(page.data.message)
  requestAnimationFrame(() => {
    settle()
    if (before.running && !page.data.running && before.thread === page.data.thread) finished()
  })
  return () => { stop?.(); stop = null; page.data = {}; page.fresh = true }
}
