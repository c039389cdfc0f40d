// The documented configuration, with what it leaves to the reader: where the page is, and which browser.
import config from "./playwright.config.js";

export default {
  ...config,
  use: {
    baseURL: process.env.BASE_URL,
    launchOptions: {
      executablePath: process.env.CHROMIUM,
      args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    },
  },
};
