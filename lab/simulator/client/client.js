// Keeps its user in the meeting while the page is open, because the node counts the open websocket.
"use strict";

const part = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("sessionToken") || "";
const address = new URL("/graphql", location.href);
address.protocol = address.protocol.replace("http", "ws");
address.searchParams.set("sessionToken", token);

let socket;
let over = false;
let entered = false;
const media = { audio: null, camera: null };

function say(text) {
  part("status").textContent = text;
}

function send(type, values = {}) {
  socket.send(JSON.stringify({ type, ...values }));
}

function finish(text, target) {
  over = true;
  for (const stream of Object.values(media)) stream?.getTracks().forEach((track) => track.stop());
  part("room").hidden = true;
  part("over").hidden = false;
  part("back").href = target || "/";
  say(text);
}

function list(id, lines) {
  part(id).replaceChildren(
    ...lines.map((line) => {
      const item = document.createElement("li");
      item.append(...[line].flat());
      return item;
    }),
  );
}

function described(user) {
  const marks = [user.role.toLowerCase()];
  if (user.presenter) marks.push("presenter");
  if (user.voice) marks.push("microphone");
  if (user.video) marks.push("camera");
  return `${user.name} (${marks.join(", ")})`;
}

function guestLine(guest) {
  const buttons = [["Accept", "admit"], ["Deny", "deny"]].map(([label, type]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${label} ${guest.name}`;
    button.addEventListener("click", () => send(type, { user: guest.id }));
    return button;
  });
  return [`${guest.name} `, ...buttons];
}

function show(state) {
  document.title = state.name;
  part("name").textContent = state.name;
  if (state.waiting) {
    say("Please wait for a moderator to approve you joining the meeting.");
    return;
  }
  part("room").hidden = false;
  say(state.recording ? "You are in the meeting. It is being recorded." : "You are in the meeting.");
  list("users", state.users.map(described));
  list("messages", state.chat.map((line) => `${line.name}: ${line.message}`));
  list("guests", state.guests.map(guestLine));
  part("lobby").hidden = state.guests.length === 0;
  part("record").hidden = !state.mayRecord;
  part("record").setAttribute("aria-pressed", state.recording);
  if (!entered) {
    entered = true;
    if (state.settings.bbb_auto_join_audio === "true") toggle("audio");
    if (state.settings.bbb_auto_share_webcam === "true") toggle("camera");
  }
}

async function toggle(kind) {
  const button = part(kind);
  if (media[kind]) {
    media[kind].getTracks().forEach((track) => track.stop());
    media[kind] = null;
  } else {
    try {
      media[kind] = await navigator.mediaDevices.getUserMedia(kind === "audio" ? { audio: true } : { video: true });
    } catch (error) {
      say(`No ${kind}: ${error.name}`);
      return;
    }
  }
  const on = media[kind] !== null;
  button.setAttribute("aria-pressed", on);
  if (kind === "camera") {
    part("self").hidden = !on;
    part("self").srcObject = media.camera;
    if (on) await part("self").play();
  }
  send(kind === "audio" ? "voice" : "video", { on });
}

function connect() {
  socket = new WebSocket(address);
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "state") show(message);
    else finish(message.text, message.target);
  });
  socket.addEventListener("close", () => {
    if (!over) finish("The connection to the meeting was lost or refused.", "");
  });
}

part("audio").addEventListener("click", () => toggle("audio"));
part("camera").addEventListener("click", () => toggle("camera"));
part("record").addEventListener("click", () => {
  send("record", { on: part("record").getAttribute("aria-pressed") !== "true" });
});
part("leave").addEventListener("click", () => send("leave"));
part("chat").addEventListener("submit", (event) => {
  event.preventDefault();
  if (part("text").value) send("chat", { message: part("text").value });
  part("text").value = "";
});
connect();
