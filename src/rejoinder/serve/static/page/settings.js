/** The settings: which microphone and which loudspeaker. */

import { element } from "./element.js";

const $ = (id) => document.getElementById(id);

/** Have the dialog work on a `Sound`; `onMicrophone` is told of another choice. */
export function setUpSettings(sound, { onMicrophone }) {
  const show = async () => {
    const { microphones, speakers } = await sound.devices();
    fill($("microphone"), microphones);
    fill($("speaker"), speakers);
    $("speaker-row").hidden = !sound.canChooseSpeaker;
  };
  $("settings-open").addEventListener("click", async () => {
    await show();
    $("settings").showModal();
  });
  $("microphone").addEventListener("change", ({ target }) => {
    localStorage.setItem("microphone", target.value);
    onMicrophone();
  });
  $("speaker").addEventListener("change", ({ target }) => {
    localStorage.setItem("speaker", target.value);
    sound.chooseSpeaker(target.value);
  });
  navigator.mediaDevices?.addEventListener("devicechange", () => $("settings").open && show());
}

function fill(select, devices) {
  const options = devices.map(({ deviceId, label }) => element("option", { value: deviceId }, label));
  select.replaceChildren(select.options[0], ...options);
  select.value = localStorage.getItem(select.id) ?? "";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}
