//! Chat completions and embeddings of Azure OpenAI, at the address of a deployment:
//! <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.
//!
//! The bodies are OpenAI's. The path names the deployment, the query the version of the wire, and
//! the key stands in `api-key`, or a token of Entra ID in `Authorization`. A prompt that the
//! content filter refuses is a 400 with the code `content_filter`; an answer that it cuts ends with
//! the finish reason of the same name.

use url::Url;

use super::{
    Call, Wire,
    openai::{Decoder, Dialect, encode_chat, encode_embeddings, read_embeddings},
};
use crate::{
    AzureAuth, EmbedRequest, ProviderConfig, ProviderError,
    config::below,
    embed::Vectors,
    reply::Decode,
    transport::{KeyHeader, Outgoing},
};

/// The latest version that is not a preview.
const API_VERSION: &str = "2024-10-21";

/// One resource of Azure OpenAI.
#[derive(Debug)]
pub(super) struct Azure {
    base: Url,
    model: String,
    deployment: Option<String>,
    api_version: String,
    auth: AzureAuth,
}

impl Azure {
    pub(super) fn new(base: Url, config: &ProviderConfig) -> Self {
        Self {
            base,
            model: config.model.clone(),
            deployment: config.deployment.clone(),
            api_version: config.api_version.clone().unwrap_or_else(|| API_VERSION.to_owned()),
            auth: config.azure_auth.unwrap_or_default(),
        }
    }

    /// The deployment of the configured model has a name of its own; any other is taken to be
    /// named as its model.
    fn at<'a>(&'a self, model: &'a str, steps: &[&'a str]) -> Url {
        let named = self.deployment.as_deref().filter(|_| model == self.model);
        let path = ["openai", "deployments", named.unwrap_or(model)];
        let mut url = below(&self.base, path.iter().chain(steps).copied());
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        url
    }
}

impl Wire for Azure {
    fn base(&self) -> &Url {
        &self.base
    }

    fn probe(&self) -> Url {
        let mut url = below(&self.base, ["openai", "models"]);
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        url
    }

    fn key_header(&self) -> KeyHeader {
        match self.auth {
            AzureAuth::ApiKey => KeyHeader::Plain("api-key"),
            AzureAuth::Entra => KeyHeader::Bearer,
        }
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let body = encode_chat(call, Dialect::Vendor)?;
        let url = self.at(call.model, &["chat", "completions"]);
        Ok(Outgoing { url, body, stream: call.request.stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder)
    }

    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        let body = encode_embeddings(model, request)?;
        Ok(Outgoing { url: self.at(model, &["embeddings"]), body, stream: false })
    }

    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError> {
        read_embeddings(body)
    }
}
