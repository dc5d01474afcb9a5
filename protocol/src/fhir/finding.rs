//! What is found wrong, or remarkable, in a consent.

use std::fmt;

use crate::consent::TermsError;

/// Something about one place of a consent. It names elements and codes of the standard, and no value of a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the resource.
    pub path: String,
    /// What.
    pub kind: FindingKind,
}

impl Finding {
    pub(super) fn new(path: impl Into<String>, kind: FindingKind) -> Self {
        Self { path: path.into(), kind }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)
    }
}

/// Why a condition, or a whole provision, cannot be said in terms of a consortium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It is not of the form that FHIR gives it.
    #[error("it is not of the form that FHIR gives it")]
    Malformed,
    /// An element that FHIR does not define there.
    #[error("it has an element that FHIR does not define there")]
    UnknownElement,
    /// A modifier extension that is not ours.
    #[error("it has a modifier extension that is not known here")]
    ModifierExtension,
    /// A period without a whole day, or one that ends before it begins.
    #[error("its period has no whole day")]
    Period,
    /// An actor in another role than that of a recipient, or of this hospital as custodian.
    #[error("an actor is neither a recipient nor this hospital as custodian")]
    Role,
    /// A recipient whom the consortium does not know.
    #[error("a recipient is nobody whom the consortium knows")]
    Recipient,
    /// An action other than collect, access, use, disclose and correct.
    #[error("an action is none of collect, access, use, disclose and correct")]
    Action,
    /// Actions that nobody here does.
    #[error("nothing that is done here is among its actions")]
    NoAction,
    /// A purpose that there is no word for.
    #[error("there is no word here for one of its purposes{}", of(.0))]
    Purpose(Option<&'static str>),
    /// BTG, a way around consent and not a purpose.
    #[error("BTG is a way around a consent, which none can permit or deny")]
    BreakTheGlass,
    /// Purposes that must all be met, and that no use has together.
    #[error("FHIR asks of a use to have all of its purposes, and no use has them together")]
    PurposesApart,
    /// Data use modifiers without a permission.
    #[error("it has data use modifiers of DUO and no permission")]
    NoPermission,
    /// A DUO code without the value that it needs, or with one that cannot be read.
    #[error("a code of DUO lacks its value, or the value cannot be read")]
    DuoValue,
    /// A modifier of a deny.
    #[error("a deny is bound to a data use modifier, and forbids the whole or nothing")]
    DuoOfDeny,
    /// The same modifier twice.
    #[error("it has one data use modifier twice")]
    DuoTwice,
    /// A security label that there is no word for.
    #[error("there is no word here for one of its security labels")]
    Label,
    /// Labels that no data carry alone.
    #[error("its security labels are met only together, or by no data here")]
    LabelsApart,
    /// A class of data that is no domain.
    #[error("a class of data is no domain, or a part of one")]
    Class,
    /// Content codes.
    #[error("it is about data with certain codes")]
    Code,
    /// Certain resources, or data by a certain author.
    #[error("it is about certain resources, or those of an author")]
    Data,
    /// An expression.
    #[error("it has a computable expression")]
    Expression,
    /// Conditions of the document and of the provision that are never met together.
    #[error("its conditions and those of the whole document are never met together")]
    Apart,
    /// A code of the broad consent that is not in the list of 2025-12.
    #[error("a policy of the broad consent is not in the list of 2025-12")]
    Policy,
}

fn of(code: &Option<&'static str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindingKind {
    // Reasons to refuse a document.
    /// Neither R4 nor R5, or both.
    #[error(
        "whether this is FHIR R4 or R5 cannot be told, or it has an element of neither; export it as one of the two, without other elements"
    )]
    Version,
    /// An element of the resource is malformed.
    #[error("this is not of the form that FHIR gives it; correct it")]
    Malformed,
    /// The resource is bound to rules that are not known here.
    #[error(
        "a modifier extension or implicit rules can change what the whole document means; have it written without them"
    )]
    Modified,
    /// There is no status, or none of FHIR's.
    #[error("the status is none of FHIR's; correct it")]
    Status,
    /// An end of a document that has no name.
    #[error("what ends has neither an id nor an identifier, so nobody can know what it ends; revoke that by hand")]
    Nameless,
    /// No scope, or one that is not known.
    #[error("the scope is none of patient-privacy, research, treatment and adr; correct it")]
    Scope,
    /// A restriction in the category.
    #[error("the category says that this is for emergencies alone, and no provision does; have a provision say it")]
    EmergencyCategory,
    /// There is no patient, or a subject who is none.
    #[error("this is about no patient, or not about one; a consent here is one patient's own")]
    Patient,
    /// R4's root provision does not say whether it permits or denies.
    #[error(
        "the document does not say whether it permits or denies where no provision does, and a policy rule does not decide that; import it with the base decision that its form has"
    )]
    NoBase,
    /// R4's root provision does not say so, and is bound to conditions.
    #[error(
        "the outermost provision has conditions and does not say whether it permits or denies; have its type written"
    )]
    NoType,
    /// A provision that does not say whether it permits or denies.
    #[error("the provision does not say whether it permits or denies; have its type written")]
    Type,
    /// Rules within rules.
    #[error(
        "a provision within a provision restricts it, and there is one level of rules here; have it written as one level"
    )]
    Deeper,
    /// A deny that cannot be said.
    #[error("this denies what cannot be said: {0}; import it with wider denies, or record a wider deny by hand")]
    Unsayable(Why),
    /// The terms are none that a document may have.
    #[error("{0}")]
    Terms(TermsError),
    /// The same document more than once.
    #[error("the input has this document more than once, and which one holds cannot be told; give the newest alone")]
    Twice,
    /// The base decision of a broad consent.
    #[error("a broad consent denies what it does not permit; this one does not say so")]
    BroadBase,
    /// Our own extension says what it cannot.
    #[error(
        "an extension of ours cannot be read; export the document again with a version of this program that this one knows"
    )]
    Dialect,

    // Notices.
    /// A permit that is not imported.
    #[error("this permit is left out as a whole: {0}")]
    Dropped(Why),
    /// A part of a permit that is not imported.
    #[error("of this permit one alternative is left out: {0}")]
    Narrowed(Why),
    /// A deny that forbids more than the file says.
    #[error("this deny forbids more than it says, without this condition: {0}")]
    Widened(Why),
    /// A deny that forbids nothing that is done here.
    #[error("this deny forbids nothing that could be done here: {0}")]
    Void(Why),
    /// A permit of which a deny of the same document leaves nothing.
    #[error("a deny of the same document takes away all that this permits")]
    Swallowed,
    /// The root permits, and so do its provisions.
    #[error("the outermost permit is not taken for itself, since provisions say what is permitted")]
    Grouped,
    /// Whether silence or a deny is meant.
    #[error(
        "beside its exceptions the document denies by permitting nothing; what another current document permits stays open"
    )]
    Silent,
    /// Nothing is permitted and nothing denied.
    #[error("the document permits nothing and denies nothing")]
    Nothing,
    /// Several purposes in a deny.
    #[error("the deny is taken to be about each of its purposes")]
    EachPurpose,
    /// The policy's address is not kept.
    #[error("the address of the policy is too long, or there are several; none is kept")]
    PolicyUri,
    /// A policy of the broad consent that opens or closes nothing here.
    #[error("the broad consent's policy .{0} opens and closes nothing here")]
    VoidPolicy(u16),
    /// A policy that was permitted without what it needs.
    #[error("the broad consent's policy .{0} opens nothing without the others that belong to it, in one document")]
    Incomplete(u16),
    /// A policy that is not in the list.
    #[error("a policy of the broad consent that is not in the list of 2025-12 opens nothing")]
    UnknownPolicy,
    /// Beginnings that are guessed.
    #[error(
        "which data are meant by the broad consent's policy .{0} is not said here, so all before its period are closed"
    )]
    Backwards(u16),
}
