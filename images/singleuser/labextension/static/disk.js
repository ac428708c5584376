// How full the student's disk is, in JupyterLab's status bar or at the top of Notebook, and a warning when it gets full.
// Written by hand as the module federation container that JupyterLab loads: init() hands over its modules, get() ours.
(() => {
  const SECONDS = 30;
  const COLORS = {
    default: ['', ''],
    warning: ['var(--jp-warn-color1)', 'black'],
    error: ['var(--jp-error-color1)', 'white']
  };
  let modules;

  // JupyterLab shares each of these once; an extension that brings a copy of its own is not the one in use.
  async function shared(name) {
    const offers = Object.values(modules[name] ?? {});
    const own = offers.find(offer => offer.from.startsWith('_JUPYTERLAB.CORE')) ?? offers[0];
    return (await own.get())();
  }

  async function plugin() {
    const { IStatusBar } = await shared('@jupyterlab/statusbar');
    const { ServerConnection } = await shared('@jupyterlab/services');
    const { Widget } = await shared('@lumino/widgets');

    function activate(app, statusBar) {
      const settings = app.serviceManager.serverSettings;
      const item = new Widget();
      item.id = 'campus-disk';
      let added = false;
      let kind = 'default';
      let notification = null;
      let switchedOff = false;

      function show(disk) {
        item.node.textContent = disk.label;
        item.node.title = disk.message;
        [item.node.style.background, item.node.style.color] = COLORS[disk.kind];
        if (!added) {
          added = true;
          Object.assign(item.node.style, { padding: '0 8px', lineHeight: '24px' });
          if (statusBar) {
            statusBar.registerStatusItem(item.id, { item, align: 'right', rank: 0 });
          } else {
            item.node.style.alignSelf = 'center';
            app.shell.add(item, 'top', { rank: 1000 });
          }
        }
      }

      // Once for each step: who has closed a warning is not shown it again before the disk is yet fuller.
      async function notify(disk) {
        if (disk.kind === kind) {
          return;
        }
        kind = disk.kind;
        if (notification !== null) {
          await app.commands.execute('apputils:dismiss-notification', { id: notification });
          notification = null;
        }
        if (kind !== 'default') {
          const options = { autoClose: false };
          notification = await app.commands.execute('apputils:notify', { message: disk.message, type: kind, options });
        }
      }

      async function look() {
        if (document.hidden || switchedOff) {
          return;
        }
        const response = await ServerConnection.makeRequest(settings.baseUrl + 'campus/disk', {}, settings);
        switchedOff = response.status === 404;
        if (response.ok) {
          const disk = await response.json();
          show(disk);
          await notify(disk);
        }
      }

      // One look after the other. A server that cannot be reached is JupyterLab's to tell.
      let last = app.restored;
      const lookAgain = () => {
        last = last.then(look).catch(() => {});
      };
      setInterval(lookAgain, SECONDS * 1000);
      document.addEventListener('visibilitychange', lookAgain);
      app.serviceManager.contents.fileChanged.connect(lookAgain);
      lookAgain();
    }

    return { id: 'campus-singleuser:disk', autoStart: true, optional: [IStatusBar], activate };
  }

  (window._JUPYTERLAB ??= {})['campus-singleuser'] = {
    init(scope) {
      modules = scope;
    },
    async get() {
      const extension = { __esModule: true, default: await plugin() };
      return () => extension;
    }
  };
})();
