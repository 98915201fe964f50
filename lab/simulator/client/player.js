// Requests the same files as bbb-playback, shows the first slide and plays the webcams.
"use strict";

const id = location.pathname.split("/").filter(Boolean).pop();
const root = `/presentation/${id}`;
const files = [
  "shapes.svg", "panzooms.xml", "cursor.xml", "slides_new.xml", "deskshare.xml", "presentation_text.json",
  "captions.json", "polls.json", "external_videos.json", "notes.html", "tldraw.json",
];

async function load() {
  const metadata = await fetch(`${root}/metadata.xml`);
  if (!metadata.ok) throw new Error(`There is no recording ${id}.`);
  const described = new DOMParser().parseFromString(await metadata.text(), "application/xml");
  const name = described.querySelector("meeting")?.getAttribute("name") || id;
  document.getElementById("name").textContent = name;
  document.title = name;
  const answers = await Promise.all(files.map((file) => fetch(`${root}/${file}`)));
  const shapes = new DOMParser().parseFromString(await answers[0].text(), "image/svg+xml");
  const slide = shapes.querySelector("image.slide");
  if (slide) document.getElementById("slide").src = `${root}/${slide.getAttribute("xlink:href")}`;
  document.getElementById("webcams").src = `${root}/video/webcams.webm`;
  const missing = files.filter((_, position) => !answers[position].ok);
  document.getElementById("status").textContent = missing.length ? `Missing: ${missing.join(", ")}` : "Ready to play.";
}

load().catch((error) => {
  document.getElementById("status").textContent = error.message;
});
