// The image enlarged.
const $ = (id) => document.getElementById(id);

export const lightbox = $("lightbox");

/** Open it, or close it. */
export function zoom() {
  if (lightbox.open) return lightbox.close();
  if ($("item").hidden || $("zoom").hidden) return undefined;
  $("large").src = $("image").src;
  return lightbox.showModal();
}

$("zoom").addEventListener("click", zoom);
lightbox.addEventListener("click", zoom);
