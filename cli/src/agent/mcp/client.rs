//! What a server may say to us and ask of us besides the answers of calls.

use std::sync::mpsc::SyncSender;

use rmcp::model::{
    ClientCapabilities, ClientConfig, ErrorData, Implementation, ListRootsRequestMethod,
    ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};

/// What a server says besides answers.
#[derive(Debug)]
pub(super) enum Heard {
    Progress(ProgressNotificationParam),
    ToolsChanged,
}

/// What a server may ask of us: nothing but whether we are here.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) heard: SyncSender<Heard>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("gptoss", env!("CARGO_PKG_VERSION")),
        )
    }

    #[expect(deprecated, reason = "older servers ask for it")]
    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> std::result::Result<rmcp::model::ListRootsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListRootsRequestMethod>())
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        // Nobody waits for news: what is too much is left out.
        let _ = self.heard.try_send(Heard::Progress(progress));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.heard.try_send(Heard::ToolsChanged);
    }
}

impl Heard {
    /// One line for the user.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Progress(progress) => {
                let of = progress.total.map(|total| format!(" of {total}")).unwrap_or_default();
                let message = progress.message.as_deref().map(|text| format!(", {text}")).unwrap_or_default();
                format!("{}{of}{message}", progress.progress)
            }
            Self::ToolsChanged => "its tools changed; the model goes on with those it was told".to_owned(),
        }
    }
}
