// The documented configuration, as it is, with the browser of this machine.
import config from "./playwright.config.js";

export default {
  ...config,
  use: {
    ...config.use,
    launchOptions: {
      executablePath: process.env.CHROMIUM,
      args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    },
  },
};
