// Plays a recording's media, captions, slides and chat. It uses no library and loads nothing from other sites.
//
// The page's address names the recording; its files are those that BBB's recording scripts publish
// (record-and-playback). index.html is served for
//   /playback/presentation/2.3/ID                      and plays files of /presentation/ID/
//   /playback/video/ID/, /video/ID/                    files of /video/ID/
//   /recording/screenshare/ID/, /screenshare/ID/ …     files of /screenshare/ID/
// and this script and the style sheet from /playback/plain/. data-state of the body: loading, ready or failed.
"use strict";

// The recordID as balancer/core/recordings.py spells it; a test compares them.
const RECORD_ID = /\/([0-9a-f]{1,64}-[0-9]{1,20})(?:\/|$)/;
// Candidates in the order in which they are requested; the first that exists is played.
const WEBCAMS = ["video/webcams.webm", "video/webcams.mp4"];
const SCREEN = ["deskshare/deskshare.webm", "deskshare/deskshare.mp4"];
const AUDIO = ["audio/audio.webm", "audio/audio.ogg"];
const WHOLE = {
  video: ["video-0.m4v", "video-0.mp4", "video-0.webm"],
  screenshare: ["screenshare-0.webm", "screenshare-0.mp4", "screenshare-0.m4v"],
};
const FAILURES = {
  403: "This recording is protected. Please open it from the course or room that it belongs to.",
  404: "There is no such recording, or it is not published.",
};

class Failure extends Error {}

function recordingOf(path) {
  const found = RECORD_ID.exec(path);
  if (!found) throw new Failure("The address names no recording.");
  const format = ["screenshare", "video"].find((name) => path.includes(`/${name}/`)) ?? "presentation";
  return { format, root: `/${format}/${found[1]}/` };
}

async function text(url) {
  const answer = await fetch(url);
  return answer.ok ? answer.text() : null;
}

async function xml(url) {
  const content = await text(url);
  return content === null ? null : new DOMParser().parseFromString(content, "application/xml");
}

async function json(url, otherwise) {
  const content = await text(url);
  try {
    return content === null ? otherwise : JSON.parse(content);
  } catch {
    return otherwise;
  }
}

async function firstPresent(root, names) {
  for (const name of names) {
    const answer = await fetch(root + name, { method: "HEAD" });
    if (answer.ok) return root + name;
  }
  return null;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function section(title, ...children) {
  const id = `heading-${title.toLowerCase().replaceAll(" ", "-")}`;
  return element("section", { "aria-labelledby": id }, element("h2", { id }, title), ...children);
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : String(part))).join(":");
}

async function describe(root) {
  const answer = await fetch(`${root}metadata.xml`);
  if (!answer.ok) throw new Failure(FAILURES[answer.status] ?? "The recording cannot be loaded at the moment.");
  const metadata = new DOMParser().parseFromString(await answer.text(), "application/xml");
  const value = (path) => metadata.querySelector(path)?.textContent.trim() || "";
  const name = value("meta > meetingName") || metadata.querySelector("meeting")?.getAttribute("name") || "Recording";
  document.title = name;
  document.getElementById("name").textContent = name;
  const parts = [];
  const start = Number(value("recording > start_time"));
  if (start) parts.push(new Date(start).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" }));
  const duration = Number(value("playback > duration"));
  if (duration) parts.push(clock(duration / 1000));
  const participants = Number(value("recording > participants"));
  if (participants) parts.push(participants === 1 ? "1 participant" : `${participants} participants`);
  document.getElementById("about").textContent = parts.join(" · ");
}

async function captions(root) {
  const known = await json(`${root}captions.json`, []);
  return (Array.isArray(known) ? known : []).map(({ locale, localeName }) =>
    element("track", {
      kind: "captions",
      srclang: String(locale).replace("_", "-"),
      label: localeName || locale,
      src: `${root}caption_${encodeURIComponent(locale)}.vtt`,
    }),
  );
}

function medium(tag, url, label, tracks = []) {
  const attributes = { src: url, controls: "", preload: "metadata", "aria-label": label };
  if (tag === "video") attributes.playsinline = "";
  return element(tag, attributes, ...tracks);
}

async function slides(root) {
  const shapes = await xml(`${root}shapes.svg`);
  if (!shapes) return [];
  const texts = await json(`${root}presentation_text.json`, {});
  return [...shapes.getElementsByTagName("image")]
    .map((image) => slide(image, root, texts))
    .filter((each) => each !== null)
    .sort((one, other) => one.from - other.from);
}

function slide(image, root, texts) {
  const path = image.getAttribute("xlink:href") || image.getAttribute("href") || "";
  const found = /^presentation\/([\w-]+)\/(?:svgs\/slide|slide-)(\d+)\.(?:svg|png)$/.exec(path);
  if (!found) return null;
  const [, presentation, number] = found;
  const words = String(texts?.[presentation]?.[`slide-${number}`] ?? "").trim();
  return {
    from: parseFloat(image.getAttribute("in")) || 0,
    url: root + path,
    thumbnail: `${root}presentation/${presentation}/thumbnails/thumb-${number}.png`,
    label: `Slide ${number}`,
    words,
  };
}

function showSlides(all, player) {
  const picture = element("img", { class: "slide", src: all[0].url, alt: "" });
  const buttons = all.map((each) => {
    const image = element("img", { src: each.thumbnail, alt: "", loading: "lazy" });
    // A slide without a thumbnail still has its number and time.
    image.addEventListener("error", () => image.remove());
    const button = element("button", { type: "button" }, image, `${each.label}, ${clock(each.from)}`);
    button.addEventListener("click", () => {
      if (player) player.currentTime = each.from;
      show(each);
    });
    return button;
  });
  let shown = null;
  function show(each) {
    if (shown === each) return;
    shown = each;
    if (picture.getAttribute("src") !== each.url) picture.src = each.url;
    picture.alt = each.words ? `${each.label}: ${each.words}` : each.label;
    buttons.forEach((button, place) => button.setAttribute("aria-current", String(all[place] === each)));
  }
  show(all[0]);
  player?.addEventListener("timeupdate", () => show(all.findLast((each) => each.from <= player.currentTime) ?? all[0]));
  const list = element("ul", { class: "thumbnails" }, ...buttons.map((button) => element("li", {}, button)));
  const thumbnails = section("Slides", list);
  thumbnails.classList.add("wide");
  return [section("Presentation", picture), thumbnails];
}

async function chat(root) {
  const lines = [...((await xml(`${root}slides_new.xml`))?.getElementsByTagName("chattimeline") ?? [])];
  if (!lines.length) return null;
  const items = lines.map((line) => {
    // A message is stored as HTML; only its words are shown.
    const words = new DOMParser().parseFromString(line.getAttribute("message") ?? "", "text/html").body.textContent;
    const who = element("strong", {}, line.getAttribute("name") || "Unnamed user");
    return element("li", {}, `${clock(parseFloat(line.getAttribute("in")))} `, who, `: ${words}`);
  });
  return section("Chat", element("ol", { class: "chat", tabindex: "0", "aria-label": "Chat messages" }, ...items));
}

async function presentation(root) {
  const [webcams, screen, tracks, pages, talk] = await Promise.all([
    firstPresent(root, WEBCAMS),
    firstPresent(root, SCREEN),
    captions(root),
    slides(root),
    chat(root),
  ]);
  const audio = webcams ? null : await firstPresent(root, AUDIO);
  const main = webcams ? medium("video", webcams, "Webcams and sound", tracks) : audio && medium("audio", audio, "Sound");
  const parts = [];
  if (main) parts.push(section(webcams ? "Webcams and sound" : "Sound", main));
  if (screen) parts.push(section("Shared screen", medium("video", screen, "Shared screen")));
  if (pages.length) parts.push(...showSlides(pages, main));
  if (talk) parts.push(talk);
  return parts;
}

async function whole(format, root) {
  const [url, tracks] = await Promise.all([firstPresent(root, WHOLE[format]), captions(root)]);
  if (!url) return [];
  const part = section("Video", medium("video", url, "Recording", tracks));
  part.classList.add("wide");
  return [part];
}

async function load() {
  const { format, root } = recordingOf(location.pathname);
  await describe(root);
  const parts = format === "presentation" ? await presentation(root) : await whole(format, root);
  if (!parts.length) throw new Failure("The recording has no media that this page can play.");
  document.getElementById("stage").append(...parts);
  document.getElementById("status").textContent = "";
  document.body.dataset.state = "ready";
}

load().catch((error) => {
  const known = error instanceof Failure;
  document.getElementById("status").textContent = known ? error.message : "The recording cannot be loaded at the moment.";
  document.body.dataset.state = "failed";
  if (!known) throw error;
});
