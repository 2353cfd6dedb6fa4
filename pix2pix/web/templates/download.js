// Let the browser download a file that gradio has just made ready; null where there is none.
(file) => {
  if (file) {
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
  }
}
